"""From independent distributions at each rank to one ranked list of genes.

The isolation rule makes the ranks of the next cell conditionally independent, so a plain argmax
would name the same gene at many ranks. A cell has each gene once: the ranks are matched one-to-one
with genes so that the summed log-probability is highest (the linear assignment problem).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class NextCellPrediction:
    """The highest-ranked genes of each predicted next cell."""

    token_ids: Int[Tensor, "cell rank"]
    """Genes in rank order, none twice in a cell."""
    probabilities: Float[Tensor, "cell rank"]
    """The model's probability of each of these genes at its rank."""
    genes: list[list[str]]
    """The same genes by name."""
    distribution: Float[Tensor, "cell rank vocab"] | None = None
    """On request: the probability of every token at every rank."""


def assign_genes(log_probs: Float[ndarray, "rank gene"]) -> Int[ndarray, " rank"]:
    """The gene of each rank under the most probable one-to-one assignment.

    Only each rank's R best genes are looked at, R being the number of ranks: if a better one were
    further down, one of those R would still be free.

    Raises:
        ValueError: More ranks than genes.
    """
    ranks, genes = log_probs.shape
    if ranks > genes:
        raise ValueError(f"cannot fill {ranks} ranks with {genes} genes; ask for fewer ranks")
    best = np.argpartition(-log_probs, min(ranks, genes - 1), axis=1)[:, :ranks]
    candidates = np.unique(best)
    _, chosen = linear_sum_assignment(log_probs[:, candidates], maximize=True)
    return candidates[chosen]
