"""Cell-level scores: the expected next cell against the true successors and the current cell.

Cells are compared as profiles (1 at the first rank, falling evenly to 0 at the last), a prediction
as the expectation of its profile. Each score is a number for each current cell, so that intervals
can leave cells out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

TOP = (50, 100, 500)
"""How many of the highest genes, or of the most changed genes, are compared."""


@dataclass(frozen=True, kw_only=True)
class ChangeScores:
    """Whether the right genes were expected to change, and the right way: one number a row."""

    precision: dict[int, Float[ndarray, " row"]]
    """k -> fraction of the k genes predicted to change most that are among the k that do."""
    direction: dict[int, Float[ndarray, " row"]]
    """k -> fraction of the k genes that change most that are predicted to change the same way."""


@dataclass(frozen=True, kw_only=True)
class CellScores(ChangeScores):
    """How the expected next cells did, one number for each current cell; NaN where undefined."""

    spearman: Float[ndarray, " cell"]
    """Rank correlation with the mean of the true successors, over genes that either the current
    cell or a successor ranks."""
    overlap: dict[int, Float[ndarray, " cell"]]
    """k -> fraction of the k highest genes that are also the successors' k highest."""
    delta_pearson: Float[ndarray, " cell"]
    """Correlation of the predicted with the true change from the current cell."""
    delta_spearman: Float[ndarray, " cell"]
    """The same by ranks."""


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
        overlap=overlaps(predicted, following),
        delta_pearson=change_correlation(predicted, current, following),
        delta_spearman=rank_correlation_of_changes(predicted, current, following),
        precision=overlaps(np.abs(change), np.abs(truth)),
        direction=same_directions(change, truth),
    )


def change_correlation(
    predicted: Float[ndarray, "cell vocab"],
    current: Float[ndarray, "cell vocab"],
    following: Float[ndarray, "cell vocab"],
) -> Float[ndarray, " cell"]:
    """Correlation of the predicted with the true change, as in `CellScores.delta_pearson`."""
    matters = (current > 0) | (following > 0)
    return _by_cell(pearson, predicted - current, following - current, matters)


def rank_correlation_of_changes(
    predicted: Float[ndarray, "cell vocab"],
    current: Float[ndarray, "cell vocab"],
    following: Float[ndarray, "cell vocab"],
) -> Float[ndarray, " cell"]:
    """The same by ranks, as in `CellScores.delta_spearman`."""
    matters = (current > 0) | (following > 0)
    return _by_cell(spearman, predicted - current, following - current, matters)


def overlaps(
    one: Float[ndarray, "row gene"],
    other: Float[ndarray, "row gene"],
    numbers: tuple[int, ...] = TOP,
) -> dict[int, Float[ndarray, " row"]]:
    """K -> fraction of the highest k genes of one that are among the highest k of the other.

    Where the other has fewer genes above zero, only so many are compared.
    """
    fractions = {number: np.full(len(one), np.nan) for number in numbers}
    for row, (mine, theirs) in enumerate(zip(one, other, strict=True)):
        there = int((theirs > 0).sum())
        most = min(max(numbers), there)
        place = np.full(len(theirs), most)
        place[highest(theirs, most)] = np.arange(most)
        places = place[highest(mine, most)]
        for number in numbers:
            if k := min(number, there):
                fractions[number][row] = (places[:k] < k).sum() / k
    return fractions


def same_directions(
    change: Float[ndarray, "row gene"],
    truth: Float[ndarray, "row gene"],
    numbers: tuple[int, ...] = TOP,
) -> dict[int, Float[ndarray, " row"]]:
    """K -> fraction of the k genes that change most which are predicted to change the same way."""
    fractions = {number: np.full(len(change), np.nan) for number in numbers}
    for row, (mine, theirs) in enumerate(zip(change, truth, strict=True)):
        moving = int((theirs != 0).sum())
        genes = highest(np.abs(theirs), min(max(numbers), moving))
        agrees = np.sign(mine[genes]) == np.sign(theirs[genes])
        for number in numbers:
            if k := min(number, moving):
                fractions[number][row] = agrees[:k].mean()
    return fractions


def highest(values: Float[ndarray, " gene"], number: int) -> Int[ndarray, " place"]:
    """The places of the highest values, the highest first; ties go to the first."""
    if not 0 < number < len(values):
        return np.argsort(-values, kind="stable")[:number]
    bound = np.partition(values, -number)[-number]
    candidates = np.flatnonzero(values >= bound)
    return candidates[np.argsort(-values[candidates], kind="stable")[:number]]


def pearson(one: Float[ndarray, " gene"], other: Float[ndarray, " gene"]) -> float:
    """Correlation; NaN where one of the two is constant."""
    one, other = one - one.mean(), other - other.mean()
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length > 0 else float("nan")


def known_mean(values: Float[ndarray, " cell"]) -> float:
    """The mean of the finite values; NaN where there is none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


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
