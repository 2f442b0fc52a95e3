"""`gft.tl.predict`: the predicted next cells of an AnnData object."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.counts.in_memory import (
    BY_LAYER,
    anndata_source,
    copied,
    require_anndata,
    require_place_for_results,
)
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.inference.asked_gaps import asked_gaps
from bionemo.geneformer_t.inference.cell_marks import CellMarks
from bionemo.geneformer_t.inference.cell_reader import CellReader
from bionemo.geneformer_t.inference.checkpoint import trained_model
from bionemo.geneformer_t.inference.expected_ranks import (
    AGAINST_AVERAGE,
    CHANGE,
    UNIT,
    ranks_that_count,
)
from bionemo.geneformer_t.inference.gene_symbols import readable_names, symbols_of
from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
from bionemo.geneformer_t.inference.next_cell import (
    NextCells,
    genes_per_cell,
    predict_next_cells,
)
from bionemo.geneformer_t.inference.prediction_file import symbols_of_genes, top_genes
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.progress import Progress
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    import anndata

logger = logging.getLogger(__name__)


def predict(
    adata: "anndata.AnnData",
    model: NextCellModel | Path | str,
    num_predictions: int = 10,
    key_added: str = "next_cell",
    *,
    layer: str | None = None,
    use_raw: bool = False,
    round_counts: bool = False,
    time_gap: float | str | None = None,
    batch_size: int = 16,
    min_mapped_counts: float = EmbeddingSettings.min_mapped_counts,
    copy: bool = False,
) -> "anndata.AnnData | None":
    """Predict the next cell of every cell.

    Args:
        adata: Raw counts in X, in a layer or in raw; in memory, or backed by a file.
        model: A trained model, or the path of its checkpoint.
        num_predictions: Ranks in the tables of genes, from the highest.
        key_added: What the names of all that is written begin with.
        layer: The layer that holds the raw counts; X by default.
        use_raw: Take counts and genes from `raw`; genes of `var` get their values by name.
        round_counts: Round expected counts (RSEM, Salmon, alevin, kallisto, STARsolo with EM) to
            the nearest whole number; what is below one half becomes 0.
        time_gap: How far ahead to predict, for a model that was trained with `time_gap_key`: a
            number in its unit, or text such as `"3 days"`. By default, the next cell at no gap in
            particular.
        batch_size: Cells that are predicted at once, at most.
        min_mapped_counts: Least fraction of the counts that must be on genes of the vocabulary.
        copy: Return a copy and leave `adata` as it is.

    Returns:
        None, or the copy. With the default key, written are

        * `layers["next_cell"]`: the expected normalised rank of each gene in the next cell: 1 at
          the first rank, falling evenly to 0 after the last that counts;
        * `layers["next_cell_change"]`: this minus the normalised rank in the current cell;
        * `layers["next_cell_against_average"]`: this minus the mean prediction of these cells;
        * `obsm["next_cell_genes"]`, `obsm["next_cell_symbols"]` and
          `obsm["next_cell_probabilities"]`: the genes of the first ranks, none twice in a cell,
          their symbols where they are known, and the model's probability of each at its rank;
        * `obsm["next_cell_rising"]`: the genes that rise most against the current cell;
        * `obs["next_cell_training_cell"]` and `obs["next_cell_last_time_point"]`: training cells of
          the model, and cells of the last time point of its training, as far as this is known;
        * `uns["next_cell"]`: units, parameters, counts of what was met, and `top_genes`, the genes
          that change most on average, with their symbols.

        Layers hold NaN for genes that the vocabulary does not know and for cells that express none
        that it knows; these cells have no genes in `obsm`. Layers are dense: 12 bytes for each cell
        and gene in all.

    Raises:
        TypeError: `adata` is no AnnData object, or `model` no model and no path.
        FileNotFoundError: No such checkpoint.
        KeyError: No such layer, or no raw.
        ValueError: The values are no raw counts, the genes are not the model's, more ranks are
            asked for than the model can predict, or a time gap of a model that was trained without.

    Example:
        >>> gft.tl.predict(adata, checkpoint)
        >>> adata.obsm["next_cell_symbols"].head()
    """
    require_anndata(adata)
    cells = copied(adata) if copy else adata
    require_place_for_results(cells)
    require_key("key_added", key_added)
    trained = trained_model(model)
    asked = None if time_gap is None else asked_gaps(trained, [time_gap])
    source = anndata_source(
        cells, layer, use_raw=use_raw, round_counts=round_counts, options=BY_LAYER
    )
    with row_wise(source) as rows:
        reader = CellReader(trained, rows, min_mapped_counts)
        marks = CellMarks(trained.training_cells, cells.obs)
        with Progress("predicting", cells.n_obs, "cell") as bar:
            blocks = list(
                predict_next_cells(
                    trained,
                    marks.following(reader.blocks()),
                    num_predictions,
                    batch_size=batch_size,
                    time_gaps=None if asked is None else asked.gaps,
                    with_ranks=True,
                    on_cells=bar.update,
                )
            )
    tokens = reader.encoder.token_of_column
    if use_raw:
        of_name = dict(zip(source.var_names, tokens.tolist(), strict=True))
        tokens = np.array([of_name.get(name, -1) for name in cells.var_names.astype(str)])
    symbols = symbols_of(trained.required_vocab(), rows.genes, reader.encoder.token_of_column)
    num_ranks = ranks_that_count(trained, genes_per_cell(trained))
    _write(cells, blocks, tokens, symbols, key_added)
    for name, values in marks.of(np.arange(cells.n_obs)).items():
        cells.obs[f"{key_added}_{name}"] = values
    cells.uns[key_added]["units"] = {
        key_added: UNIT.format(num_ranks=num_ranks),
        f"{key_added}_change": CHANGE,
        f"{key_added}_against_average": AGAINST_AVERAGE,
    }
    cells.uns[key_added]["params"] = {
        "num_predictions": num_predictions,
        "num_ranks": num_ranks,
        "layer": "X" if layer is None else layer,
        "use_raw": use_raw,
        "round_counts": round_counts,
        "model": model_fingerprint(trained),
    }
    if asked is not None:
        gap = {"time_gap": float(asked.gaps[0]), "time_gap_unit": asked.unit}
        cells.uns[key_added]["params"] |= gap
    cells.uns[key_added]["num_empty_cells"] = reader.num_empty
    cells.uns[key_added]["genes_known"] = reader.num_known
    cells.uns[key_added]["genes_unknown"] = reader.num_unknown
    told = () if asked is None else asked.notes()
    for note in (*source.notes_on_rounding, *reader.notes(), *marks.notes(), *told):
        logger.warning("%s", note)
    if reader.num_empty:
        logger.warning(
            "%d of %d cells express no gene of the model's vocabulary and have no prediction",
            reader.num_empty, cells.n_obs,
        )  # fmt: skip
    return cells if copy else None


def _write(
    cells: "anndata.AnnData",
    blocks: list[NextCells],
    tokens: ndarray,
    symbols: tuple[str, ...],
    key: str,
) -> None:
    """Put predictions where they belong; cells and genes without any stay empty."""
    vocab = blocks[0].vocab
    place = np.full(len(vocab), -1)
    place[vocab.gene_ids] = np.arange(len(vocab.genes))
    known = np.flatnonzero(tokens >= 0)
    gene = place[tokens[known]]
    rows = np.concatenate([block.cells for block in blocks])
    following = np.concatenate([_ranks(block)[0] for block in blocks])
    change = np.concatenate([_ranks(block)[1] for block in blocks])
    average = following.mean(axis=0) if len(following) else np.zeros(following.shape[1])
    for name, values in (
        (key, following),
        (f"{key}_change", change),
        (f"{key}_against_average", following - average),
    ):
        held = np.full((cells.n_obs, cells.n_vars), np.nan, dtype=np.float32)
        held[np.ix_(rows, known)] = values[:, gene]
        cells.layers[name] = held
    readable = readable_names(vocab, symbols)
    ids = np.concatenate([block.token_ids for block in blocks])
    number = ids.shape[1]
    rising = vocab.gene_ids[np.argsort(-change, axis=1, kind="stable")[:, :number]]
    tables = {
        "genes": np.array(vocab.tokens, dtype=object)[ids],
        "symbols": readable[ids],
        "rising": readable[rising],
        "probabilities": np.concatenate([block.probabilities for block in blocks]),
    }
    for name, values in tables.items():
        empty = np.nan if values.dtype.kind == "f" else ""
        table = np.full((cells.n_obs, number), empty, dtype=values.dtype)
        table[rows] = values
        ranks = [f"rank_{rank}" for rank in range(1, number + 1)]
        cells.obsm[f"{key}_{name}"] = pd.DataFrame(table, index=cells.obs_names, columns=ranks)
    var = pd.DataFrame(
        {"symbol": symbols_of_genes(symbols, vocab.gene_ids)},
        index=pd.Index(vocab.genes, dtype=str),
    )
    cells.uns[key] = {
        "top_genes": top_genes(var, average, change.sum(axis=0) / max(len(change), 1))
    }


def _ranks(block: NextCells) -> tuple[Float[ndarray, "cell gene"], Float[ndarray, "cell gene"]]:
    assert block.ranks is not None
    return block.ranks.following, block.ranks.change
