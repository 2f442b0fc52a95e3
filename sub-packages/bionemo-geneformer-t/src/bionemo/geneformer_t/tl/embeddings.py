"""`gft.tl.embed`: cells and genes of an AnnData object as a model's encoder sees them."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bionemo.geneformer_t.config import EmbeddingSettings, Pooling
from bionemo.geneformer_t.counts.in_memory import (
    anndata_source,
    copied,
    require_anndata,
    require_place_for_results,
)
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.inference.checkpoint import load_encoder
from bionemo.geneformer_t.inference.embedder import Embedder
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.progress import Progress
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    import anndata

logger = logging.getLogger(__name__)

INPUT_TABLE = "_input"
"""Ending of the entry of varm that holds the input embeddings of genes."""


def embed(
    adata: "anndata.AnnData",
    model: NextCellModel | Path | str,
    layer: int = EmbeddingSettings.layer,
    pooling: Pooling = "mean",
    key_added: str = "X_geneformer_t",
    *,
    counts_layer: str | None = None,
    use_raw: bool = False,
    round_counts: bool = False,
    gene_embeddings: bool = True,
    token_budget: int = EmbeddingSettings.token_budget,
    min_mapped_counts: float = EmbeddingSettings.min_mapped_counts,
    copy: bool = False,
) -> "anndata.AnnData | None":
    """Embed every cell; `sc.pp.neighbors(adata, use_rep="X_geneformer_t")` follows directly.

    Args:
        adata: Raw counts in X, in a layer or in raw; in memory, or backed by a file.
        model: A trained model, the path of its checkpoint, or a folder with pretrained weights in
            Hugging Face's layout and their dictionaries.
        layer: Hidden states to pool, as Hugging Face counts them: -1 the last layer, -2 the second
            to last (Geneformer's `emb_layer=-1`), 0 the input embeddings.
        pooling: `mean` over a cell's genes, or the state of its `[CLS]` token (`cls`).
        key_added: Where to write, in `obsm`, `varm` and `uns`.
        counts_layer: The layer that holds the raw counts; X by default.
        use_raw: Take counts and genes from `raw`.
        round_counts: Round expected counts (RSEM, Salmon, alevin, kallisto, STARsolo with EM) to
            the nearest whole number; what is below one half becomes 0.
        gene_embeddings: Also write those of genes to `varm`.
        token_budget: Tokens that are encoded at once; lower it when memory runs out.
        min_mapped_counts: Least fraction of the counts that must be on genes of the vocabulary.
        copy: Return a copy and leave `adata` as it is.

    Returns:
        None, or the copy. Written are

        * `obsm[key_added]`: cells x hidden; zeros for cells that express no known gene, which are
          counted in `uns` (scanpy's neighbors accept no NaN);
        * `varm[key_added]`: the mean hidden state of each gene over all cells that express it, NaN
          for genes that are unknown to the vocabulary or expressed nowhere;
        * `varm[key_added + "_input"]`: the genes' rows of the input embedding table;
        * `uns[key_added]`: parameters, counts of what was met, and the model's fingerprint.

    Raises:
        TypeError: `adata` is no AnnData object.
        FileNotFoundError: No such checkpoint.
        KeyError: No such layer of counts, or no raw.
        ValueError: The values are no raw counts, the genes are not the model's, or a setting is
            out of range.

    Example:
        >>> gft.tl.embed(adata, checkpoint)
        >>> sc.pp.neighbors(adata, use_rep="X_geneformer_t")
        >>> sc.tl.umap(adata)
    """
    settings = EmbeddingSettings(
        layer=layer,
        pooling=pooling,
        token_budget=token_budget,
        min_mapped_counts=min_mapped_counts,
    )
    require_anndata(adata)
    require_key("key_added", key_added)
    cells = copied(adata) if copy else adata
    require_place_for_results(cells)
    trained = model if isinstance(model, NextCellModel) else load_encoder(model)
    source = anndata_source(cells, counts_layer, use_raw=use_raw, round_counts=round_counts)
    with row_wise(source) as rows:
        embedder = Embedder(trained, rows, settings, with_genes=gene_embeddings)
        embedded = np.zeros((cells.n_obs, embedder.width), dtype=np.float32)
        with Progress("embedding", cells.n_obs, "cell") as bar:
            for block in embedder.blocks(bar.update):
                stop = block.first_row + len(block.embeddings)
                embedded[block.first_row : stop] = block.embeddings
    cells.obsm[key_added] = embedded
    if gene_embeddings:
        names = tuple(cells.var_names.astype(str))
        means, table = embedder.gene_embeddings_of(names)
        cells.varm[key_added], cells.varm[key_added + INPUT_TABLE] = means, table
    cells.uns[key_added] = embedder.summary()
    for note in (*source.notes_on_rounding, *embedder.reader.notes()):
        logger.warning("%s", note)
    if embedder.reader.num_empty:
        logger.warning(
            "%d of %d cells express no gene of the model's vocabulary; their embedding is zeros",
            embedder.reader.num_empty, cells.n_obs,
        )  # fmt: skip
    return cells if copy else None
