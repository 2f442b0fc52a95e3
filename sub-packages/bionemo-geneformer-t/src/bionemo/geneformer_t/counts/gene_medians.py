"""Gene medians: what each gene's counts are divided by before genes are ranked.

The definition is Geneformer's (Theodoris et al. 2023): over the cells in which a gene is detected,
the median of count / total count of the cell * target sum. Only training cells may enter.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray


def gene_medians(counts: sp.csr_matrix, target_sum: float = 10_000.0) -> Float[ndarray, " gene"]:
    """The median of each gene's non-zero scaled counts, NaN where no cell expresses the gene.

    Args:
        counts: Raw counts of the training cells, cells x genes.
        target_sum: Total to which each cell is scaled.
    """
    by_gene = sp.csc_matrix(scaled_by_total(sp.csr_array(counts), target_sum))
    by_gene.eliminate_zeros()
    return _median_of_each_column(by_gene)


def scaled_by_total(counts: sp.csr_array, target_sum: float) -> sp.csr_array:
    """The counts of each cell as if they summed to `target_sum`, in 64 bits."""
    totals = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.divide(target_sum, totals, out=np.zeros_like(totals), where=totals > 0)
    values = counts.data * np.repeat(scale, np.diff(counts.indptr))
    return sp.csr_array((values, counts.indices, counts.indptr), shape=counts.shape)


def _median_of_each_column(matrix: sp.csc_matrix) -> Float[ndarray, " gene"]:
    """Sort the stored values inside each column, then average the two middle ones."""
    lengths = np.diff(matrix.indptr)
    columns = np.repeat(np.arange(len(lengths)), lengths)
    values = matrix.data[np.lexsort((matrix.data, columns))]
    medians = np.full(len(lengths), np.nan)
    held = lengths > 0
    start, length = matrix.indptr[:-1][held].astype(np.int64), lengths[held].astype(np.int64)
    low, high = start + (length - 1) // 2, start + length // 2
    medians[held] = (values[low] + values[high]) / 2
    return medians
