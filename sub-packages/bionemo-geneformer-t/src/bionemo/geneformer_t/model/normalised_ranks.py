"""Normalised ranks: cells as numbers that can be added up, averaged and projected.

The normalised rank of a gene is 1 at the first rank and falls evenly to 0 after the last rank that
counts; it is 0 for genes that are absent.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.ragged import Ragged, places_within


def rank_weights(num_ranks: int) -> Float[ndarray, " rank"]:
    """The normalised rank at each rank: 1 at the first, falling evenly to 0 after the last."""
    return 1 - np.arange(num_ranks) / num_ranks


def rank_table(cells: Ragged, num_ranks: int, vocab_size: int) -> sp.csr_array:
    """The normalised ranks of all tokens in each cell, cells x vocabulary, float32.

    Args:
        cells: Genes of each in rank order.
        num_ranks: Ranks that count.
        vocab_size: Tokens of the vocabulary.
    """
    kept = cells.truncated(num_ranks)
    assert kept.values.max(initial=0) < vocab_size  # SciPy would read behind its arrays
    weights = rank_weights(num_ranks).astype(np.float32)[places_within(kept.lengths)]
    return sp.csr_array((weights, kept.values, kept.offsets), shape=(len(kept), vocab_size))
