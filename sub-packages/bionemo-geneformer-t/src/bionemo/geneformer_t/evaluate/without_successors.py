"""The scores of a whole cell without some of its successors, for intervals over next cells.

The mean profile of a cell's successors is computed again without each part of them (see `Level`),
and change and direction are scored against the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.scores.expression_change import change_correlation
from bionemo.geneformer_t.evaluate.scores.profiles import PairProfiles
from bionemo.geneformer_t.evaluate.scores.step_direction import cosines
from bionemo.geneformer_t.evaluate.units import Level

_NUMBERS_AT_ONCE = 2**23
_LEAST = 1e-6
"""Smaller values are what rounding leaves of a gene that no other successor has."""


@dataclass(frozen=True, kw_only=True)
class WithoutParts:
    """Scores of current cells without each part of their successors."""

    change: Float[ndarray, " part"]
    """Correlation of the predicted with the true change."""
    direction: Float[ndarray, " part"]
    """Cosine between the predicted and the true step."""


def score_without_parts(
    predicted: Float[ndarray, "cell vocab"],
    axes: Float[ndarray, "axis vocab"],
    profiles: PairProfiles,
    level: Level,
) -> WithoutParts:
    """Score change and direction of every current cell without each part of its successors.

    Args:
        predicted: Expected profile of each predicted next cell.
        axes: Span the space in which steps are compared.
        profiles: Those of current and next cells.
        level: Names the parts.
    """
    change, direction = np.full((2, len(level.parts.cells)), np.nan)
    current, following = profiles.dense
    steps, points = (predicted - current) @ axes.T, current @ axes.T
    for some, left in _means_without_parts(following, profiles, level):
        cells = level.parts.cells[some]
        change[some] = change_correlation(predicted[cells], current[cells], left)
        direction[some] = cosines(steps[cells], left @ axes.T - points[cells])
    return WithoutParts(change=change, direction=direction)


def _means_without_parts(
    following: Float[ndarray, "cell vocab"], profiles: PairProfiles, level: Level
) -> Iterator[tuple[slice, Float[ndarray, "some_part vocab"]]]:
    """Mean profiles of the successors of current cells without each part, some at a time."""
    cells, _, weights, gathering = level.parts
    number, size = len(profiles.of_pair), max(1, _NUMBERS_AT_ONCE // following.shape[1])
    to_next = sp.csr_array(
        (np.ones(number), (np.arange(number), profiles.of_pair)),
        shape=(number, profiles.next_cells.shape[0]),
    )
    gathering = gathering @ to_next
    for first in range(0, len(cells), size):
        some = slice(first, first + size)
        gone = (gathering[some] @ profiles.next_cells).toarray()
        rest = np.maximum(1 - weights[some], _LEAST)[:, None]
        left = (following[cells[some]] - gone) / rest
        yield some, np.where(left > _LEAST, left, 0)
