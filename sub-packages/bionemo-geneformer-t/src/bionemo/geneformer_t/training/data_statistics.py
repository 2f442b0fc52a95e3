"""What the training cells say before any training: gene frequencies by rank, axes of expression.

Both look at some thousands of cells at most, drawn at random, so that their cost does not grow with
the data.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.counts.gene_medians import scaled_by_total
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.sampling import generator
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset

MOST_CELLS = 5_000
_SOFTENING = 0.1
"""Added to a gene's standard deviation, in log counts per ten thousand: quiet genes stay quiet."""


def rank_counts(dataset: TemporalGeneformerDataset) -> Float[ndarray, "rank vocab"]:
    """How often each token stands at each rank of the next cells, cut as in training."""
    cells = np.unique(dataset.graph.indices)
    if not len(cells):  # every cell is its own next cell
        cells = dataset.cells
    counts = np.zeros((dataset.settings.genes_per_cell, len(dataset.vocab)), dtype=np.float32)
    for genes in dataset.tokens.rows_of(_drawn(cells, dataset.settings.seed)):
        kept = genes[: len(counts)]
        counts[np.arange(len(kept)), kept] += 1
    return counts


def expression_axes(
    tokens: CellTokens, num_axes: int, vocab_size: int, seed: int
) -> Float[ndarray, "vocab axis"]:
    """Each gene's loadings on the principal axes of expression, scaled by the axes' spread.

    Expression is log(1 + counts per ten thousand), divided by the gene's standard deviation. Genes
    that rise and fall together get similar rows. Fewer axes than asked for where there are fewer
    cells or genes; rows of tokens that no cell expresses are 0.

    Args:
        tokens: The training cells.
        num_axes: Columns.
        vocab_size: Rows.
        seed: Chooses the cells that are looked at, where there are many.
    """
    from sklearn.decomposition import PCA

    table = log_expression(tokens, _drawn(np.arange(len(tokens)), seed), vocab_size)
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


def log_expression(tokens: CellTokens, cells: ndarray, vocab_size: int) -> sp.csr_array:
    """log(1 + counts per ten thousand) of some cells, cells x vocabulary."""
    counts, columns, lengths = tokens.store.rows_of(cells)
    ids = tokens.token_of_column[columns]
    known = ids >= 0
    rows = np.repeat(np.arange(len(cells)), lengths)[known]
    shape = (len(cells), vocab_size)
    table = sp.coo_array((counts[known].astype(np.float32), (rows, ids[known])), shape).tocsr()
    return scaled_by_total(table, 1e4).log1p().astype(np.float32)


def _drawn(cells: ndarray, seed: int) -> ndarray:
    if len(cells) <= MOST_CELLS:
        return cells
    return np.sort(generator(seed, 0, -1).choice(cells, MOST_CELLS, replace=False))
