"""Mutual nearest neighbors of two groups of cells, with distances corrected for hubs.

Two cells are mutual when each is among the other's nearest (Haghverdi et al., 2018, Nature
Biotechnology). Where time points overlap, plain distances prefer the cells that have changed least:
a few laggards of the later time point are close to everybody. Squared distances are therefore
measured against how close either cell is to the other group at large, as cross-domain similarity
local scaling does (Conneau et al., 2018, ICLR), repeated until both sides have settled. That is
what the dual variables of optimal transport do, from nearest distances alone.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from numpy import ndarray

from bionemo.geneformer_t.neighbors.nearest import nearest

REACH = 4
"""Two cells are mutual when each is among the other's `REACH * num_neighbors` nearest."""
_CLOSE_SHARE, _CLOSE_LEAST = 0.1, 20
"""Share of the other group, and least number of its cells, that a cell is measured against."""
_ANCHORS = 2000
"""Cells of a group against which the other is measured; more would change little."""
_PASSES = 3
_BLOCK_VALUES = 2_000_000
"""Distances held at once: 8 MB."""


def mutual_neighbors(
    current: Float[ndarray, "cell component"],
    following: Float[ndarray, "later component"],
    num_neighbors: int,
) -> tuple[Int[ndarray, "cell neighbor"], Float[ndarray, "cell neighbor"], Bool[ndarray, " cell"]]:
    """The nearest mutual neighbors of each current cell; its nearest cells where it has none.

    Returns:
        Rows of `following` for each current cell, their corrected distances (infinity: no
        neighbor), and which current cells have no mutual neighbor.
    """
    reach = REACH * num_neighbors
    of_current, of_following = general_closeness(current, following)
    found, distances = nearest(_asking(current), _asked(following, of_following), reach)
    back, _ = nearest(_asking(following), _asked(current, of_current), reach)
    is_mutual = _is_returned(found, back)
    alone = np.logical_not(is_mutual.any(axis=1))
    candidates = np.where(is_mutual | alone[:, None], distances, np.inf)
    first = np.argsort(candidates, axis=1, kind="stable")[:, :num_neighbors]
    return (
        np.take_along_axis(found, first, axis=1),
        np.take_along_axis(candidates, first, axis=1),
        alone,
    )


def _is_returned(
    found: Int[ndarray, "cell reach"], back: Int[ndarray, "later later_reach"]
) -> Bool[ndarray, "cell reach"]:
    """Whether each cell is among those that its neighbor has found."""
    is_returned = np.empty(found.shape, dtype=bool)
    for column, later in enumerate(found.T):
        is_returned[:, column] = (back[later] == np.arange(len(found))[:, None]).any(axis=1)
    return is_returned


def general_closeness(
    current: Float[ndarray, "cell component"], following: Float[ndarray, "later component"]
) -> tuple[Float[ndarray, " cell"], Float[ndarray, " later"]]:
    """How far each cell is from the other group at large, in squared distance.

    The mean over the nearest cells of the other group of the squared distance less that cell's own
    value: small for hubs.
    """
    few, few_later = _anchors(len(current)), _anchors(len(following))
    centre = current[few].mean(axis=0, dtype=np.float64)  # small numbers are rounded less
    now, later = (np.asarray(each - centre, dtype=np.float32) for each in (current, following))
    anchors, later_anchors = now[few], later[few_later]
    of_later_anchors = np.zeros(len(few_later))
    for _ in range(_PASSES - 1):  # until the last, only what the anchors have is asked for
        of_anchors = _mean_of_least(anchors, later_anchors, of_later_anchors)
        of_later_anchors = _mean_of_least(later_anchors, anchors, of_anchors)
    of_current = _mean_of_least(now, later_anchors, of_later_anchors)
    of_following = _mean_of_least(later, anchors, of_current[few])
    return of_current, of_following


def _mean_of_least(
    queries: Float32[ndarray, "query component"],
    anchors: Float32[ndarray, "anchor component"],
    less: Float[ndarray, " anchor"],
) -> Float[ndarray, " query"]:
    num = min(max(_CLOSE_LEAST, round(_CLOSE_SHARE * len(anchors))), len(anchors))
    squares = ((anchors**2).sum(axis=1) - less).astype(np.float32)
    means, rows = [], max(1, _BLOCK_VALUES // len(anchors))
    room = np.empty((min(rows, len(queries)), len(anchors)), dtype=np.float32)
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows]
        values = np.matmul(-2 * block, anchors.T, out=room[: len(block)])
        values += squares
        values.partition(num - 1, axis=1)
        least = values[:, :num].mean(axis=1, dtype=np.float64)
        means.append((block**2).sum(axis=1) + least)
    return np.concatenate(means)


def _anchors(num_cells: int) -> Int[ndarray, " anchor"]:
    return np.linspace(0, num_cells - 1, min(num_cells, _ANCHORS)).astype(np.int64)


def _asked(points: ndarray, closeness: ndarray) -> Float[ndarray, "cell lifted"]:
    """One more coordinate, which adds `max(closeness) - closeness` to squared distances.

    The search for the least difference of squared distance and closeness becomes an ordinary search
    for nearest points, which any index can do.
    """
    return np.column_stack([points, np.sqrt(closeness.max() - closeness)])


def _asking(points: ndarray) -> Float[ndarray, "cell lifted"]:
    return np.column_stack([points, np.zeros(len(points))])
