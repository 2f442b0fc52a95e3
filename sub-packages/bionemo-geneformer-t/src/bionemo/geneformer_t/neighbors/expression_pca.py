"""Cells as points: normalised, log-transformed, PCA, with nothing learned from held-out cells.

The variable genes, the centre and the axes come from the training cells alone; all other cells
are only projected. Otherwise neighbors inside a test split would depend on training on test cells.

Counts come in blocks and are seen twice: once for the moments of the genes, once for the
covariance of the variable ones, whose eigenvectors are the exact axes. In memory are the
covariance (up to 2,000 x 2,000) and one block, however many cells there are.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.neighbors.variable_genes import gene_moments, variable_genes

_TARGET_SUM = 1e4
_NUM_VARIABLE_GENES = 2000
_ROWS = 2048


@dataclass(frozen=True, kw_only=True)
class ExpressionAxes:
    """Principal axes of log(1 + count / total * 10,000)."""

    genes: Int[ndarray, " variable_gene"]
    """Columns of the counts that enter."""
    centre: Float[ndarray, " variable_gene"]
    axes: Float[ndarray, "variable_gene component"]

    def project(self, counts: sp.csr_array) -> Float[ndarray, "cell component"]:
        """The coordinates of cells."""
        logs = log_normalised(counts)[:, self.genes]
        return np.asarray(logs @ self.axes - self.centre @ self.axes, dtype=np.float32)


def fit_axes(
    blocks: Callable[[], Iterable[sp.csr_array]],
    num_genes: int,
    num_components: int = 30,
    num_variable_genes: int = _NUM_VARIABLE_GENES,
) -> ExpressionAxes:
    """Learn the axes from blocks of training cells.

    Args:
        blocks: Gives the raw counts of the training cells, cells x genes, each time it is called.
        num_genes: Columns of the blocks.
        num_components: Components; fewer where cells or genes are fewer.
        num_variable_genes: Genes that enter, by scanpy's `seurat` dispersion.

    Raises:
        ValueError: Fewer than three training cells or two expressed genes.
    """
    moments = gene_moments((scaled(block) for block in blocks()), num_genes)
    genes = np.flatnonzero(variable_genes(moments, num_variable_genes))
    num = min(num_components, moments.num_cells - 1, len(genes) - 1)
    if num < 1:
        raise ValueError(
            "PCA needs at least three training cells and two expressed genes; got "
            f"{moments.num_cells} cells and {len(genes)} genes"
        )
    centre = moments.total_of_logs[genes] / moments.num_cells
    covariance = np.zeros((len(genes), len(genes)))
    # used for every block: fresh pages would take a fifth of the time
    room = np.empty((0, len(genes)), dtype=np.float32)
    product = np.empty(covariance.shape, dtype=np.float32)
    for block in blocks():
        if block.shape[0] > len(room):
            room = np.empty((block.shape[0], len(genes)), dtype=np.float32)
        logs = room[: block.shape[0]]
        log_normalised(block)[:, genes].toarray(out=logs)
        covariance += np.matmul(logs.T, logs, out=product)
    covariance -= moments.num_cells * np.outer(centre, centre)
    return ExpressionAxes(
        genes=genes, centre=centre, axes=_main_axes(covariance / (moments.num_cells - 1), num)
    )


def expression_pca(
    counts: sp.csr_array | sp.csr_matrix,
    fit_on: Bool[ndarray, " cell"],
    num_components: int = 30,
    num_variable_genes: int = _NUM_VARIABLE_GENES,
) -> Float[ndarray, "cell component"]:
    """Coordinates of all cells of a matrix on axes of those to fit on.

    Args:
        counts: Raw counts, cells x genes.
        fit_on: The training cells, from which genes, centre and axes are learned.
        num_components: Components; fewer where cells or genes are fewer.
        num_variable_genes: Genes that enter, by scanpy's `seurat` dispersion.

    Raises:
        ValueError: Fewer than three training cells or two expressed genes.
    """
    whole = sp.csr_array(counts)
    train = whole[fit_on]
    axes = fit_axes(lambda: _blocks_of(train), whole.shape[1], num_components, num_variable_genes)
    return np.concatenate([axes.project(block) for block in _blocks_of(whole)])


def scaled(counts: sp.csr_array) -> sp.csr_array:
    """Counts of each cell as if its total were 10,000."""
    totals = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    factors = np.divide(_TARGET_SUM, totals, out=np.zeros_like(totals), where=totals > 0)
    values = counts.data * np.repeat(factors, np.diff(counts.indptr))
    parts = (values.astype(np.float32), counts.indices, counts.indptr)
    return sp.csr_array(parts, shape=counts.shape)


def log_normalised(counts: sp.csr_array) -> sp.csr_array:
    """log(1 + count / total * 10,000) of each cell."""
    block = scaled(counts)
    return sp.csr_array((np.log1p(block.data), block.indices, block.indptr), shape=block.shape)


def _main_axes(
    covariance: Float[ndarray, "gene gene"], num: int
) -> Float[ndarray, "gene component"]:
    """Eigenvectors of the largest eigenvalues, largest first, each with its largest entry positive.

    The iteration starts from a fixed vector, so the same matrix gives the same axes.
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import eigsh

    size = len(covariance)
    if num < size // 4:
        start = np.random.default_rng(0).normal(size=size)
        values, vectors = eigsh(covariance, k=num, v0=start)
        vectors = vectors[:, np.argsort(-values, kind="stable")]
    else:
        vectors = eigh(covariance)[1][:, : -num - 1 : -1]
    strongest = vectors[np.abs(vectors).argmax(axis=0), np.arange(num)]
    return np.asarray(vectors * np.where(strongest < 0, -1.0, 1.0))


def _blocks_of(matrix: sp.csr_array) -> Iterable[sp.csr_array]:
    for start in range(0, matrix.shape[0], _ROWS):
        yield matrix[start : start + _ROWS]
