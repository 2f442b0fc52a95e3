"""Rank-value encoding: a cell as its genes, the most characteristic first.

A gene's rank value is `count / total count * target_sum / median of the gene` (Theodoris et al.
2023). Total and target sum are the same for all genes of a cell and cannot change their order, so
`count / median` is what is sorted. Value and token share one 64-bit key, so that one sort of plain
integers yields the tokens in order; an argsort and a gather cost three times as much.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int, Real
from numpy import ndarray

from bionemo.geneformer_t.ragged import offsets_of

TOKEN_BITS = np.uint64(0xFFFF)
"""The low bits of a key hold the token, in place of the last 16 of the float's 52 digits."""


def rank_value_encode(
    counts: Real[ndarray, " gene"],
    tokens: Int[ndarray, " gene"],
    medians: Float[ndarray, " gene"],
    lengths: Int[ndarray, " cell"],
) -> Int[ndarray, " gene"]:
    """Tokens of concatenated cells, each cell's by rank value, highest first.

    Args:
        counts: Positive raw counts.
        tokens: The token of each gene; unique in each cell.
        medians: The median of each gene, in scaled counts; ones to rank by counts alone.
        lengths: Genes of each cell.
    """
    return sort_by_value(counts / medians, tokens, lengths)


def sort_by_value(
    values: Float[ndarray, " gene"], tokens: Int[ndarray, " gene"], lengths: Int[ndarray, " cell"]
) -> Int[ndarray, " gene"]:
    """Each cell's tokens in descending order of positive values; ties in ascending order of tokens.

    Values whose first 48 of 64 bits agree (they differ by less than 1.5e-11 of their size) are
    ties. Tokens beyond 65,535 do not fit into a key: cells sorted together with one take a slower
    sort, to the same order.
    """
    # Positive floats order as the integers that their bits spell; inverting them turns the order.
    keys = ~values.astype(np.float64, copy=False).view(np.uint64)
    keys &= ~TOKEN_BITS
    if len(tokens) and tokens.max() > TOKEN_BITS:
        cell_of_gene = np.repeat(np.arange(len(lengths)), lengths)
        return tokens[np.lexsort((tokens, keys, cell_of_gene))].astype(np.int64, copy=False)
    keys |= tokens.astype(np.int64, copy=False).view(np.uint64)
    bounds = offsets_of(lengths).tolist()
    for start, stop in pairwise(bounds):
        keys[start:stop].sort()
    keys &= TOKEN_BITS
    return keys.view(np.int64)


def merge_tokens(
    counts: Real[ndarray, " column"],
    tokens: Int[ndarray, " column"],
    lengths: Int[ndarray, " cell"],
) -> tuple[Float[ndarray, " gene"], Int[ndarray, " gene"], Int[ndarray, " cell"]]:
    """Sum the counts of a cell's columns that name the same gene.

    Returns:
        Counts, tokens and lengths as they came, each token once in a cell.
    """
    cell_of_column = np.repeat(np.arange(len(lengths)), lengths)
    size = tokens.max(initial=0) + 1
    merged, inverse = np.unique(cell_of_column * size + tokens, return_inverse=True)
    summed = np.bincount(inverse, counts, minlength=len(merged))
    return summed, merged % size, np.bincount(merged // size, minlength=len(lengths))
