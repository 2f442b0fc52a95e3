"""Initial weights from the training cells: gene frequencies by rank, principal axes of expression.

Both are computed from some thousands of cells at most, drawn at random, so that their cost does not
grow with the data.
"""

import logging

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int, Integer, Real
from numpy import ndarray

from bionemo.geneformer_t.counts.gene_medians import scaled_by_total
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.resampling import several
from bionemo.geneformer_t.data.sampling import generator
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.model.rank_bias import log_frequencies
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.training.settings import TrainSettings

logger = logging.getLogger(__name__)

MAX_CELLS = 5_000
MAX_AXES = 64
_SOFTENING = 0.1
"""Added to a gene's standard deviation, in log counts per ten thousand: quiet genes stay quiet."""


def set_weights_from_cells(
    settings: TrainSettings, model: TemporalGeneformerModel, data: TemporalGeneformerDataModule
) -> None:
    """Set the bias by rank and the gene embeddings, as far as the settings ask for it.

    A pretrained head knows how frequent genes are: a bias by rank on top of it starts at zero.

    Every process computes the same from the same cells. Only for a fresh run: one that resumes has
    its weights.
    """
    if model.net.cls.predictions.rank_bias is not None and settings.pretrained is None:
        _set_rank_bias(model, data)
    if settings.gene_embeddings == "expression":
        _set_gene_embeddings(settings, model, data)


def _set_rank_bias(model: TemporalGeneformerModel, data: TemporalGeneformerDataModule) -> None:
    bias = model.net.cls.predictions.rank_bias
    assert bias is not None
    counts = torch.from_numpy(rank_counts(data.train))
    is_gene = torch.zeros(counts.shape[1], dtype=torch.bool)
    is_gene[torch.from_numpy(data.vocab.gene_ids)] = True
    logs = log_frequencies(counts, bias.knots, is_gene)
    bias.start[:] = logs.min()  # rows beyond the vocabulary are never the answer
    bias.start[: len(logs)] = logs


def _set_gene_embeddings(
    settings: TrainSettings, model: TemporalGeneformerModel, data: TemporalGeneformerDataModule
) -> None:
    """Put the axes into at most half of the columns; the others stay random."""
    weight = model.net.bert.embeddings.word_embeddings.weight
    wanted = min(MAX_AXES, settings.hidden_size // 2)
    axes = expression_axes(data.train, wanted, settings.seed)
    if axes.shape[1] == 0 or not axes.std():
        logger.warning(
            "gene_embeddings: the training cells have no axes of expression (%d cells), so "
            "the embeddings start at random values", len(data.train.tokens),
        )  # fmt: skip
        return
    scaled = torch.from_numpy(axes * (model.config.initializer_range / axes.std()))
    with torch.no_grad():
        weight[: len(scaled), : scaled.shape[1]] = scaled
    logger.info("gene embeddings start at %d axes of expression", scaled.shape[1])


def rank_counts(dataset: TemporalGeneformerDataset) -> Float[ndarray, "rank vocab"]:
    """How often each token is at each rank of the next cells, truncated as in training.

    Next cells that training draws anew are drawn anew here.
    """
    cells = np.unique(dataset.graph.indices)
    if not len(cells):  # every cell is its own next cell
        cells = dataset.cells
    seed = dataset.settings.seed
    cells = _drawn(cells, seed)
    if dataset.resampler is None:
        following = dataset.tokens.rows_of(cells)
    else:
        following = dataset.resampler.draw(*several(cells, seed))
    counts = np.zeros((dataset.settings.genes_per_cell, len(dataset.vocab)), dtype=np.float32)
    for genes in following:
        kept = genes[: len(counts)]
        counts[np.arange(len(kept)), kept] += 1
    return counts


def expression_axes(
    dataset: TemporalGeneformerDataset, num_axes: int, seed: int
) -> Float[ndarray, "vocab axis"]:
    """Each gene's loadings on the principal axes of expression, scaled by the axes' spread.

    Expression is log(1 + counts per ten thousand), divided by the gene's standard deviation. Genes
    that rise and fall together get similar rows. Where there are fewer cells or genes than axes,
    there are fewer columns; rows of tokens that no cell expresses are 0. Where next cells are drawn
    anew in training, so are the cells here: their noise is independent of each other's.

    Args:
        dataset: The training cells.
        num_axes: Columns.
        seed: Draws the cells, where there are more than `MAX_CELLS`.
    """
    from sklearn.decomposition import PCA

    tokens, vocab_size = dataset.tokens, len(dataset.vocab)
    cells = _drawn(np.arange(len(tokens)), seed)
    if dataset.resampler is None:
        counts, columns, lengths = tokens.store.rows_of(cells)
    else:
        cells = cells[np.asarray(tokens.num_genes)[cells] > 0]
        counts, columns, lengths = dataset.resampler.draw_counts(*several(cells, seed))
    table = log_expression(tokens, counts, columns, lengths, vocab_size)
    expressed = np.flatnonzero(np.diff(table.tocsc().indptr))
    table = table[:, expressed]
    mean = np.asarray(table.mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(np.asarray(table.power(2).mean(axis=0)).ravel() - mean**2, 0))
    scaled = table @ sp.diags_array((1 / (spread + _SOFTENING)).astype(np.float32))
    number = min(num_axes, min(scaled.shape) - 1)
    if number < 1 or not spread.any():
        return np.zeros((vocab_size, 0), dtype=np.float32)
    pca = PCA(number, svd_solver="arpack", random_state=0).fit(sp.csr_matrix(scaled))
    axes = np.zeros((vocab_size, number), dtype=np.float32)
    axes[expressed] = pca.components_.T * pca.singular_values_
    return axes


def log_expression(
    tokens: CellTokens,
    counts: Real[ndarray, " value"],
    columns: Integer[ndarray, " value"],
    lengths: Int[ndarray, " cell"],
    vocab_size: int,
) -> sp.csr_array:
    """log(1 + counts per ten thousand) of concatenated cells, cells x vocabulary."""
    ids = tokens.token_of_column[columns]
    known = ids >= 0
    rows = np.repeat(np.arange(len(lengths)), lengths)[known]
    shape = (len(lengths), vocab_size)
    table = sp.coo_array((counts[known].astype(np.float32), (rows, ids[known])), shape).tocsr()
    return scaled_by_total(table, 1e4).log1p().astype(np.float32)


def _drawn(cells: ndarray, seed: int) -> ndarray:
    if len(cells) <= MAX_CELLS:
        return cells
    return np.sort(generator(seed, 0, -1).choice(cells, MAX_CELLS, replace=False))
