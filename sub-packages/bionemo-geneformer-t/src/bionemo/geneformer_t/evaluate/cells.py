"""Cell-level scores: the expected next cell against the true successors and the current cell.

Cells are compared as profiles (1 at the first rank, falling evenly to 0 at the last), a prediction
as the expectation of its profile. Each score is a number for each current cell, so that intervals
can resample cells.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

TOP = (50, 100, 500)
"""How many of the highest genes, or of the most changed genes, are compared."""


@dataclass(frozen=True, kw_only=True)
class CellScores:
    """How the expected next cells did, one number for each current cell; NaN where undefined."""

    spearman: Float[ndarray, " cell"]
    """Rank correlation with the mean of the true successors, over genes that either the current
    cell or a successor ranks."""
    overlap: dict[int, Float[ndarray, " cell"]]
    """k -> share of the k highest genes that are also the successors' k highest."""
    delta_pearson: Float[ndarray, " cell"]
    """Correlation of the predicted with the true change from the current cell."""
    delta_spearman: Float[ndarray, " cell"]
    """The same by ranks."""
    precision: dict[int, Float[ndarray, " cell"]]
    """k -> share of the k genes predicted to change most that are among the k that do."""
    direction: dict[int, Float[ndarray, " cell"]]
    """k -> share of the k genes that change most that are predicted to change the same way."""


def cell_scores(
    predicted: Float[ndarray, "cell vocab"],
    current: Float[ndarray, "cell vocab"],
    following: Float[ndarray, "cell vocab"],
) -> CellScores:
    """Score predictions cell by cell.

    Args:
        predicted: Expected profile of each predicted next cell.
        current: Profile of each current cell.
        following: Mean profile of each one's true successors.
    """
    matters = (current > 0) | (following > 0)
    change, truth = predicted - current, following - current
    return CellScores(
        spearman=_by_cell(spearman, predicted, following, matters),
        overlap={k: overlap(predicted, following, k) for k in TOP},
        delta_pearson=_by_cell(pearson, change, truth, matters),
        delta_spearman=_by_cell(spearman, change, truth, matters),
        precision={k: overlap(np.abs(change), np.abs(truth), k) for k in TOP},
        direction={k: same_direction(change, truth, k) for k in TOP},
    )


def overlap(
    one: Float[ndarray, "row gene"], other: Float[ndarray, "row gene"], number: int
) -> Float[ndarray, " row"]:
    """Share of the highest `number` genes of one that are among the highest of the other.

    Where the other has fewer genes above zero, only so many are looked at.
    """
    shares = np.full(len(one), np.nan)
    for row, (mine, theirs) in enumerate(zip(one, other, strict=True)):
        k = min(number, int((theirs > 0).sum()))
        if k:
            shares[row] = len(np.intersect1d(highest(mine, k), highest(theirs, k))) / k
    return shares


def same_direction(
    change: Float[ndarray, "row gene"], truth: Float[ndarray, "row gene"], number: int
) -> Float[ndarray, " row"]:
    """Share of the genes that change most which are predicted to change the same way."""
    shares = np.full(len(change), np.nan)
    for row, (mine, theirs) in enumerate(zip(change, truth, strict=True)):
        k = min(number, int((theirs != 0).sum()))
        if k:
            genes = highest(np.abs(theirs), k)
            shares[row] = np.mean(np.sign(mine[genes]) == np.sign(theirs[genes]))
    return shares


def highest(values: Float[ndarray, " gene"], number: int) -> ndarray:
    """The places of the highest values; ties go to the first."""
    return np.argsort(-values, kind="stable")[:number]


def pearson(one: Float[ndarray, " gene"], other: Float[ndarray, " gene"]) -> float:
    """Correlation; NaN where one of the two is constant."""
    one, other = one - one.mean(), other - other.mean()
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length > 0 else float("nan")


def spearman(one: Float[ndarray, " gene"], other: Float[ndarray, " gene"]) -> float:
    """Correlation of the ranks, ties at their mean rank."""
    from scipy.stats import rankdata

    return pearson(rankdata(one), rankdata(other))


def _by_cell(
    correlation: Callable[[ndarray, ndarray], float],
    one: Float[ndarray, "cell vocab"],
    other: Float[ndarray, "cell vocab"],
    matters: Bool[ndarray, "cell vocab"],
) -> Float[ndarray, " cell"]:
    return np.array(
        [
            correlation(mine[genes], theirs[genes]) if genes.sum() > 1 else np.nan
            for mine, theirs, genes in zip(one, other, matters, strict=True)
        ]
    )
