"""A row softmax of candidate scores: a sparse matrix of transition probabilities."""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float
from numpy import ndarray

from bionemo.geneformer_t.fates.candidate_scores import HighestScores


def transition_matrix(
    kept: HighestScores, num_candidates: int, temperature: float
) -> sp.csr_matrix:
    """Probabilities in proportion to exp(score / temperature), over the candidates that are kept.

    Args:
        kept: The candidates with the highest scores of each context.
        num_candidates: Columns.
        temperature: In the unit of the scores.

    Returns:
        Contexts x candidates, float64; rows sum to 1, but those of contexts without any candidate
        are empty.
    """
    from scipy.special import softmax

    has = kept.candidates >= 0
    some = has.any(axis=1)
    probabilities = np.zeros(kept.scores.shape)
    probabilities[some] = softmax(kept.scores[some] / temperature, axis=1)
    indptr = np.concatenate([[0], np.cumsum(has.sum(axis=1))])
    shape = (len(kept.scores), num_candidates)
    matrix = sp.csr_matrix((probabilities[has], kept.candidates[has], indptr), shape=shape)
    matrix.sort_indices()
    return matrix


def with_self_loops(matrix: sp.csr_matrix, rows: Bool[ndarray, " cell"]) -> sp.csr_matrix:
    """The same with probability 1 of staying in some rows, which are empty."""
    stay: Float[ndarray, " cell"] = rows.astype(np.float64)
    looped = sp.csr_matrix(matrix + sp.diags_array(stay, format="csr"))
    looped.eliminate_zeros()
    looped.sort_indices()
    return looped
