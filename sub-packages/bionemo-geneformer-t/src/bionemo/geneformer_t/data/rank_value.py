"""Rank-value encoding: a cell as its genes, the most characteristic first.

A gene's rank value is `count / total count * target_sum / median of the gene` (Theodoris et al.
2023). Value and token share one 64-bit key, so that one sort of plain integers yields the tokens in
order; an argsort and a gather cost three times as much.
"""

import numpy as np
from jaxtyping import Float, Int, Real
from numpy import ndarray

TOKEN_BITS = np.uint64(0xFFFF)
"""The low bits of a key hold the token; the float's last 16 of 52 digits give way to it."""


def rank_value_encode(
    counts: Real[ndarray, " gene"],
    tokens: Int[ndarray, " gene"],
    medians: Float[ndarray, " gene"],
    total: float,
    target_sum: float,
) -> Int[ndarray, " gene"]:
    """Tokens in the order of their rank values, highest first.

    Args:
        counts: Positive raw counts of one cell.
        tokens: The token of each gene; no token twice.
        medians: The median of each gene, in scaled counts.
        total: The cell's total count over all genes, those without a token included.
        target_sum: Total to which the cell is scaled.
    """
    return sort_by_value(counts / total * target_sum / medians, tokens)


def sort_by_value(
    values: Float[ndarray, " gene"], tokens: Int[ndarray, " gene"]
) -> Int[ndarray, " gene"]:
    """Tokens in descending order of positive values; ties in ascending order of tokens.

    Values whose first 48 of 64 bits agree (they differ by less than 1.5e-11 of their size) are
    ties. Vocabularies beyond 65,536 tokens compare all bits, at the price of a slower sort.
    """
    if len(tokens) and tokens.max() > TOKEN_BITS:
        return tokens[np.lexsort((tokens, -values))].astype(np.int64, copy=False)
    # Positive floats order as the integers that their bits spell; inverting them turns the order.
    keys = ~values.astype(np.float64, copy=False).view(np.uint64)
    keys &= ~TOKEN_BITS
    keys |= tokens.astype(np.int64, copy=False).view(np.uint64)
    keys.sort()
    keys &= TOKEN_BITS
    return keys.view(np.int64)


def merge_tokens(
    counts: Real[ndarray, " column"], tokens: Int[ndarray, " column"]
) -> tuple[Float[ndarray, " gene"], Int[ndarray, " gene"]]:
    """Sum the counts of columns that stand for the same gene."""
    merged, inverse = np.unique(tokens, return_inverse=True)
    return np.bincount(inverse, counts, minlength=len(merged)), merged
