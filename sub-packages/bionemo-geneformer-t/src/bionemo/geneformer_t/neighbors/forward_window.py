"""The nearest cells a short step ahead along an order, without comparing all cells with all.

Pseudotime has no unit: two methods stretch the same trajectory differently. Steps are therefore
fractions of the cells: a step of 0.1 leads past a tenth of them. Successors are half a step to one
and a half steps ahead; among these the most similar ones are taken. Where a branch has ended, the
cells ahead belong to other branches and are far away: steps that are long compared with the others
are left out.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.nearest import (
    check_num_neighbors,
    closeness,
    nearest,
    nearest_others,
)
from bionemo.geneformer_t.neighbors.successor_lists import graph_of_rows

_EARLIEST, _LATEST = 0.5, 1.5
"""Where the window of successors begins and ends, in steps."""
_LOCAL_NEIGHBORS = 15
_LONG, _LEAST_SPREAD = 3.0, 0.1
"""Robust standard deviations above the median at which the log length of a step is too long, and
the least such deviation."""


def forward_neighbors(
    points: Float[ndarray, "cell component"],
    pseudotime: Float[ndarray, " cell"],
    *,
    step: float,
    num_neighbors: int,
    group: Int[ndarray, " cell"] | None = None,
    may_follow: Bool[ndarray, "group group"] | None = None,
) -> tuple[NeighborGraph, list[str]]:
    """Link every cell to the most similar of the cells one step ahead.

    Args:
        points: Coordinates of the cells.
        pseudotime: Their order; cells where it is not finite take no part.
        step: How far ahead, as a fraction of the cells.
        num_neighbors: Successors of each cell, or all cells of its window if fewer.
        group: The group of each cell, such as its cluster.
        may_follow: Whether cells of the column's group may follow cells of the row's.

    Returns:
        The graph, and notes on cells and edges that were left out.

    Raises:
        ValueError: `step` is not between 0 and 1, `num_neighbors` is not positive, or there are not
            two different pseudotimes.
    """
    check_num_neighbors(num_neighbors)
    if not 0 < step < 1:
        raise ValueError(f"step is a fraction of the cells and must be between 0 and 1; got {step}")
    place = places(pseudotime)
    groups = np.zeros(len(points), dtype=np.int64) if group is None else group
    allowed = np.ones((1, 1), dtype=bool) if may_follow is None else may_follow
    found = np.zeros((len(points), num_neighbors), dtype=np.int64)
    distances = np.full(found.shape, np.inf)
    for current, candidates in _blocks(place, groups, allowed, step):
        found[current], distances[current] = _nearest_in_window(
            points, place, current, candidates, step, num_neighbors
        )
    too_long = _too_long(points, distances)
    notes = _notes(place, distances, too_long)
    distances[too_long] = np.inf
    return graph_of_rows(found, closeness(distances)), notes


def _too_long(points: ndarray, distances: ndarray) -> Bool[ndarray, "cell neighbor"]:
    """Steps that are outliers in length, relative to the distance to the cell's own neighbors."""
    there = np.isfinite(distances)
    _, around = nearest_others(points, min(_LOCAL_NEIGHBORS, len(points) - 1))
    tiny = np.finfo(np.float32).tiny
    local = np.maximum(around[:, -1:], tiny)
    length = np.log(np.maximum(np.where(there, distances, 1), tiny) / local)
    median = np.median(length[there]) if there.any() else 0.0
    spread = 1.4826 * np.median(np.abs(length[there] - median)) if there.any() else 0.0
    return there & (length > median + _LONG * max(spread, _LEAST_SPREAD))


def _notes(place: ndarray, distances: ndarray, too_long: ndarray) -> list[str]:
    missing = int((~np.isfinite(place)).sum())
    notes = []
    if missing:
        notes.append(f"{missing} of {len(place)} cells have no finite pseudotime and no edges")
    if too_long.any():
        there = np.isfinite(distances)
        emptied = int((there.any(axis=1) & ~(there & ~too_long).any(axis=1)).sum())
        notes.append(
            f"{int(too_long.sum())} of {int(there.sum())} edges led to cells too far away, as past "
            f"the end of a branch, and are left out; {emptied} cells have no successor for that"
        )
    return notes


def places(pseudotime: Float[ndarray, " cell"]) -> Float[ndarray, " cell"]:
    """The fraction of the cells before each one, from 0 to 1; NaN where not finite.

    Cells of the same pseudotime have the same place, so none of them is ahead of another.

    Raises:
        ValueError: There are not two different pseudotimes.
    """
    from scipy.stats import rankdata

    there = np.isfinite(pseudotime)
    if len(np.unique(pseudotime[there])) < 2:
        raise ValueError(
            "successors in pseudotime need cells with at least two different pseudotimes; got "
            f"{int(there.sum())} cells with a pseudotime, all the same"
        )
    place = np.full(len(pseudotime), np.nan)
    place[there] = (rankdata(pseudotime[there]) - 1) / (there.sum() - 1)
    return place


def _blocks(
    place: ndarray, groups: ndarray, allowed: ndarray, step: float
) -> Iterator[tuple[ndarray, ndarray]]:
    """Current cells of one group within half a step, and all cells that may follow one of them."""
    width = step / 2
    there = np.isfinite(place)
    for group in range(len(allowed)):
        may_come = there & allowed[group][groups]
        for start in np.arange(0, 1, width):
            now = there & (groups == group) & (place >= start) & (place < start + width)
            window = (place > start + _EARLIEST * step) & (place <= start + width + _LATEST * step)
            current, candidates = np.flatnonzero(now), np.flatnonzero(may_come & window)
            if len(current) and len(candidates):
                yield current, candidates


def _nearest_in_window(
    points: ndarray,
    place: ndarray,
    current: ndarray,
    candidates: ndarray,
    step: float,
    num_neighbors: int,
) -> tuple[Int[ndarray, "cell neighbor"], Float[ndarray, "cell neighbor"]]:
    """The nearest candidates in each cell's own window; distance infinity where there are fewer.

    A block's candidates are those of all its cells together, so some of the nearest ones may be
    outside the window of one cell: more are then searched for it.
    """
    by_place = candidates[np.argsort(place[candidates], kind="stable")]
    earliest = np.searchsorted(place[by_place], place[current] + _EARLIEST * step, side="right")
    latest = np.searchsorted(place[by_place], place[current] + _LATEST * step, side="right")
    wanted = np.minimum(latest - earliest, num_neighbors)
    found = np.zeros((len(current), num_neighbors), dtype=np.int64)
    distances = np.full(found.shape, np.inf)
    pending, number = np.flatnonzero(wanted > 0), 3 * num_neighbors
    while len(pending):
        near, far = nearest(points[current[pending]], points[by_place], number)
        inside = (near >= earliest[pending, None]) & (near < latest[pending, None])
        rank = np.cumsum(inside, axis=1) - 1
        done = inside.sum(axis=1) >= wanted[pending]
        query, column = np.nonzero(inside & (rank < num_neighbors) & done[:, None])
        slot = (pending[query], rank[query, column])
        found[slot] = by_place[near[query, column]]
        distances[slot] = far[query, column]
        pending, number = pending[~done], 4 * number
    return found, distances
