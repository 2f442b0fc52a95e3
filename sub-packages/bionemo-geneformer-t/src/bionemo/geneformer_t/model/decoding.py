"""From independent distributions at each rank to one ranked list of genes.

The isolation rule makes the ranks of the next cell conditionally independent, so a plain argmax
would name the same gene at many ranks. A cell has each gene once: the ranks are matched one-to-one
with genes so that the summed log-probability is highest (the linear assignment problem).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
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


def most_probable_genes(log_probs: Float[Tensor, "cell rank vocab"]) -> Int[Tensor, "cell rank"]:
    """The gene of each rank under the most probable one-to-one assignment, for each cell.

    Only each rank's R most probable genes are candidates, R being the number of ranks: if a better
    one were further down, one of those R would still be free.

    Args:
        log_probs: Minus infinity for what is no gene.

    Raises:
        ValueError: More ranks than tokens.
    """
    from scipy.optimize import linear_sum_assignment

    _, ranks, tokens = log_probs.shape
    if ranks > tokens:
        raise ValueError(f"cannot fill {ranks} ranks with {tokens} genes; ask for fewer ranks")
    best = log_probs.topk(ranks, dim=-1, sorted=False).indices.cpu().numpy()
    table = log_probs.cpu().numpy()
    chosen = np.empty(table.shape[:2], dtype=np.int64)
    for row, (values, genes) in enumerate(zip(table, best, strict=True)):
        candidates = np.unique(genes)
        _, assigned = linear_sum_assignment(values[:, candidates], maximize=True)
        chosen[row] = candidates[assigned]
    return torch.from_numpy(chosen).to(log_probs.device)
