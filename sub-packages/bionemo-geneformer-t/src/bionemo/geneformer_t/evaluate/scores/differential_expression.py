"""Group-level scores: which genes change between a group of cells and its successors, and how."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from numpy import ndarray

from bionemo.geneformer_t.evaluate.scores.expression_change import (
    ChangeScores,
    overlaps,
    same_directions,
)

LEAST_CELLS = 10
"""Smaller groups are left out: the differences of their means are mostly noise."""


@dataclass(frozen=True, kw_only=True)
class GroupScores(ChangeScores):
    """Differential expression between current groups and their next cells, one row a group."""

    groups: tuple[str, ...]
    left_out: tuple[str, ...]
    """Groups of fewer than `LEAST_CELLS` cells."""


def group_scores(
    predicted: Float[ndarray, "cell vocab"],
    current: Float[ndarray, "cell vocab"],
    following: Float[ndarray, "cell vocab"],
    labels: Shaped[ndarray, " cell"],
) -> GroupScores:
    """Score mean differences of groups of current cells.

    Args:
        predicted: Expected profile of each predicted next cell.
        current: Profile of each current cell.
        following: Mean profile of each one's true successors.
        labels: The group of each current cell.
    """
    names, number = np.unique(labels.astype(str), return_counts=True)
    large = names[number >= LEAST_CELLS]
    members = [labels.astype(str) == name for name in large]
    size = (len(large), predicted.shape[1])
    change = np.array([(predicted[m] - current[m]).mean(axis=0) for m in members]).reshape(size)
    truth = np.array([(following[m] - current[m]).mean(axis=0) for m in members]).reshape(size)
    return GroupScores(
        groups=tuple(large.tolist()),
        left_out=tuple(names[number < LEAST_CELLS].tolist()),
        precision=overlaps(np.abs(change), np.abs(truth)),
        direction=same_directions(change, truth),
    )
