"""Gene medians: what each gene's counts are divided by before genes are ranked.

The definition is Geneformer's (Theodoris et al. 2023): over the cells in which a gene is detected,
the median of count / total count of the cell * target sum. Only training cells may enter.

The medians are exact, of more cells than fit in memory, in two passes. The first counts each gene's
scaled values in bins, which tells the bin that holds its median; the second collects the values of
that bin alone and sorts them. The binary digits of a positive float order as the float does, so its
leading digits are its bin, and no value is ever rounded. Bins are as fine as a table of eight
million allows (1/8 of an octave for 36,000 genes). Where even these bins hold too many values, they
are collected for some genes at a time.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

_MANTISSA, _OCTAVES = 52, 24
"""Binary digits after the exponent, and how many exponents scaled counts are expected to have."""
_MOST_BINS = 1 << 23
_MOST_VALUES = 1 << 21


def gene_medians(
    blocks: Callable[[], Iterable[sp.csr_array]],
    num_genes: int,
    target_sum: float = 10_000.0,
    most_values: int = _MOST_VALUES,
) -> Float[ndarray, " gene"]:
    """The median of each gene's non-zero scaled counts, NaN where no cell expresses the gene.

    Args:
        blocks: Gives the raw counts of the training cells, cells x genes, each time it is called.
        num_genes: Columns of the blocks.
        target_sum: Total to which each cell is scaled.
        most_values: Values that may be held at once; more only where one gene needs them.
    """
    medians = np.full(num_genes, np.nan)
    digits = int(np.clip(np.log2(_MOST_BINS / _OCTAVES / max(1, num_genes)), 0, 10))

    def values() -> Iterator[tuple[ndarray, ndarray, ndarray]]:
        return _values(blocks, target_sum, _MANTISSA - digits)

    first_bin, histogram = _histogram(values, num_genes)
    if not histogram.any():
        return medians
    every, below = np.arange(num_genes), histogram.cumsum(axis=1, dtype=np.int64)
    detected = below[:, -1]
    low_rank, high_rank = (detected - 1) // 2, detected // 2
    low_bin = np.where(detected > 0, (below <= low_rank[:, None]).sum(axis=1), 0)
    high_bin = np.where(detected > 0, (below <= high_rank[:, None]).sum(axis=1), 0)
    skipped = below[every, low_bin] - histogram[every, low_bin]
    wanted = below[every, high_bin] - skipped
    for genes in _in_portions(wanted, most_values):
        lowest, highest = np.full(num_genes, 1, dtype=np.int64), np.zeros(num_genes, dtype=np.int64)
        lowest[genes] = low_bin[genes] + first_bin
        highest[genes] = high_bin[genes] + first_bin
        columns, sizes = _collect(values, lowest, highest)
        order = np.lexsort((sizes, columns))
        columns, sizes = columns[order], sizes[order]
        held = genes[detected[genes] > 0]
        start = np.searchsorted(columns, held) - skipped[held]
        medians[held] = (sizes[start + low_rank[held]] + sizes[start + high_rank[held]]) / 2
    return medians


def scaled_by_total(counts: sp.csr_array, target_sum: float) -> sp.csr_array:
    """The counts of each cell as if they summed to `target_sum`, in 64 bits."""
    totals = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.divide(target_sum, totals, out=np.zeros_like(totals), where=totals > 0)
    values = counts.data * np.repeat(scale, np.diff(counts.indptr))
    return sp.csr_array((values, counts.indices, counts.indptr), shape=counts.shape)


def _histogram(
    values: Callable[[], Iterable[tuple[ndarray, ndarray, ndarray]]], num_genes: int
) -> tuple[int, Int[ndarray, "gene bin"]]:
    """The number of the first bin, and how many values of each gene are in each bin."""
    first, counts = 0, np.zeros((num_genes, 0), dtype=np.int32)
    for columns, _, bins in values():
        low, high = int(bins.min()), int(bins.max()) + 1
        if not counts.size:
            first = low
        before, after = max(0, first - low), max(0, high - first - counts.shape[1])
        if before or after:
            counts = np.pad(counts, ((0, 0), (before, after)))
        first -= before
        one = np.int32(1)  # of the table's own type: any other takes seventy times as long
        np.add.at(counts.reshape(-1), columns * counts.shape[1] + (bins - first), one)
    return first, counts


def _collect(
    values: Callable[[], Iterable[tuple[ndarray, ndarray, ndarray]]],
    lowest: Int[ndarray, " gene"],
    highest: Int[ndarray, " gene"],
) -> tuple[Int[ndarray, " value"], Float[ndarray, " value"]]:
    """The gene and the size of all values from a gene's lowest to its highest bin."""
    found_columns, found_sizes = [np.zeros(0, dtype=np.int32)], [np.zeros(0)]
    for columns, sizes, bins in values():
        chosen = (bins >= lowest[columns]) & (bins <= highest[columns])
        found_columns.append(columns[chosen].astype(np.int32))
        found_sizes.append(sizes[chosen])
    return np.concatenate(found_columns), np.concatenate(found_sizes)


def _values(
    blocks: Callable[[], Iterable[sp.csr_array]], target_sum: float, shift: int
) -> Iterator[tuple[ndarray, ndarray, ndarray]]:
    """Gene, scaled count and bin of the values of each block."""
    for block in blocks():
        scaled = scaled_by_total(block, target_sum)
        positive = scaled.data > 0
        if positive.any():
            sizes = scaled.data[positive]
            yield scaled.indices[positive].astype(np.int64), sizes, sizes.view(np.int64) >> shift


def _in_portions(
    wanted: Int[ndarray, " gene"], most_values: int
) -> Iterator[Int[ndarray, " portion"]]:
    """Consecutive genes that together want few enough values."""
    start = 0
    ends = wanted.cumsum()
    while start < len(wanted):
        before = ends[start] - wanted[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + most_values, side="right")))
        yield np.arange(start, stop)
        start = stop
