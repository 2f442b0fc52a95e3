"""Initial weights from the training cells: gene frequencies by rank, principal axes of expression.

Both are computed from some thousands of cells at most, drawn at random, so that their cost does not
grow with the data. With them a network of random weights starts as its best constant answer, the
gene frequencies, and learns how the current cell changes it.
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
from bionemo.geneformer_t.evaluate.baselines.rank_counts import WIDTHS, fit_frequencies
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.training.initial_network import start_network
from bionemo.geneformer_t.training.settings import TrainSettings

logger = logging.getLogger(__name__)

MAX_CELLS = 5_000
MAX_COLUMNS = 64
"""Of the gene embeddings, that start at features of genes."""
POLYNOMIALS = (np.ones_like, np.positive, lambda low: (low**2 - 1) / 2**0.5)
"""Of a gene's lowness, of degree 0 to 2; each multiplies all axes of expression."""
_SOFTENING = 0.1
"""Added to a gene's standard deviation, in log counts per ten thousand: quiet genes stay quiet."""


def set_weights_from_cells(
    settings: TrainSettings, model: TemporalGeneformerModel, data: TemporalGeneformerDataModule
) -> None:
    """Set what a network starts with, as far as the settings ask for it.

    `rank_knots` asks for the bias by rank; `gene_embeddings expression` for gene embeddings,
    positions, linear maps and heads (`initial_network.py`).

    A pretrained head knows how frequent genes are: a bias by rank on top of it starts at zero.

    Every process computes the same from the same cells. Only for a fresh run: one that resumes has
    its weights.
    """
    if model.net.cls.predictions.rank_bias is not None and settings.pretrained is None:
        _set_rank_bias(model, data)
    if settings.gene_embeddings == "expression":
        columns = min(MAX_COLUMNS, settings.hidden_size // 2)
        _set_gene_embeddings(settings, model, data, columns)
        start_network(model.net, columns, _last_position(settings, model, data))


def _set_rank_bias(model: TemporalGeneformerModel, data: TemporalGeneformerDataModule) -> None:
    bias = model.net.cls.predictions.rank_bias
    assert bias is not None
    table = rank_frequencies(data.train)
    rows = (bias.knots.cpu().numpy() - 1).clip(max=len(table) - 1)
    logs = torch.from_numpy(np.log(np.maximum(table[rows].T, np.finfo(np.float32).tiny)))
    bias.start[:] = logs.min()  # rows beyond the vocabulary are never the answer
    bias.start[: len(logs)] = logs


def _set_gene_embeddings(
    settings: TrainSettings,
    model: TemporalGeneformerModel,
    data: TemporalGeneformerDataModule,
    columns: int,
) -> None:
    """Put what is known of genes into the first columns; ranks get the others.

    The embeddings are the vocabulary head too: as large as this they keep the scale of what goes
    through them, and a moderate hidden state can move a gene's probability by an order of
    magnitude.
    """
    weight = model.net.bert.embeddings.word_embeddings.weight
    table = gene_features(data.train, columns, settings.seed)
    expressed = table[table.any(axis=1)]
    if not expressed.size:
        logger.warning(
            "gene_embeddings: the training cells have no axes of expression (%d cells), so "
            "the embeddings start at random values", len(data.train.tokens),
        )  # fmt: skip
        return
    scaled = torch.from_numpy(table * (settings.hidden_size**-0.5 / expressed.std()))
    with torch.no_grad():
        weight[: len(scaled), : scaled.shape[1]] = scaled
    logger.info("gene embeddings start at %d features of genes", scaled.shape[1])


def _last_position(
    settings: TrainSettings, model: TemporalGeneformerModel, data: TemporalGeneformerDataModule
) -> int:
    """The last position that training uses."""
    last = model.config.max_position_embeddings - 1
    if settings.position_scheme != "restarted":
        return last
    most = int(np.asarray(data.train.tokens.num_genes).max(initial=1))
    return min(last, settings.genes_per_cell, most)


def rank_frequencies(dataset: TemporalGeneformerDataset) -> Float[ndarray, "rank vocab"]:
    """Probability of each token at each rank of the next cells, tuned as the baseline is.

    How widely frequencies are smoothed over ranks, and how much those over all ranks and the
    uniform distribution count, is chosen in folds of the training cells. Where there are too few
    next cells for folds, they are smoothed widely.
    """
    alone = not dataset.graph.num_edges
    pairs = (CellPairs.of_cells_themselves if alone else CellPairs.from_dataset)(dataset)
    if len(np.unique(pairs.following)) < 2:
        return fit_frequencies(pairs, WIDTHS[-1], (0.8, 0.1, 0.1)).table
    rng = generator(dataset.settings.seed, 0, -1)
    return TrainingPairs.of(pairs, rng).frequencies.table


def gene_features(
    dataset: TemporalGeneformerDataset, columns: int, seed: int
) -> Float[ndarray, "vocab feature"]:
    """Axes of expression, and their products with how low each gene usually is in a cell.

    If a programme raises a gene, the gene becomes more frequent above its usual rank and less
    frequent below it. So what a rank says of a gene depends on the product of its loading and its
    usual rank (the derivative of a bell curve by its center), which a linear head can express with
    the products in the embeddings.

    Args:
        dataset: The training cells.
        columns: At most so many features.
        seed: Draws the cells, where there are more than `MAX_CELLS`.
    """
    axes = expression_axes(dataset, max(columns // len(POLYNOMIALS), 1), seed)
    low = gene_lowness(dataset, seed)[:, None]
    features = [axes * polynomial(low) for polynomial in POLYNOMIALS]
    return np.concatenate(features, axis=1)[:, :columns]


def gene_lowness(dataset: TemporalGeneformerDataset, seed: int) -> Float[ndarray, " vocab"]:
    """How low each gene usually is in a cell, of mean 0 and variance 1 over the genes of all cells.

    The square root of the rank over the number of genes, averaged over cells; a cell that does not
    express the gene counts as the bottom. Cut at 3 standard deviations.

    Args:
        dataset: The training cells.
        seed: Draws the cells, where there are more than `MAX_CELLS`.
    """
    cells = _drawn(np.arange(len(dataset.tokens)), seed)
    height = np.zeros(len(dataset.vocab))
    expressed = np.zeros(len(dataset.vocab))
    for genes in dataset.tokens.rows_of(cells):
        height[genes] += 1 - np.sqrt(np.arange(1, len(genes) + 1) / len(genes))
        expressed[genes] += 1
    low = 1 - height / len(cells)
    shares = expressed / max(expressed.sum(), 1)
    centered = low - shares @ low
    spread = np.sqrt(shares @ centered**2)
    return np.clip(centered / max(spread, 1e-6), -3, 3).astype(np.float32)


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
