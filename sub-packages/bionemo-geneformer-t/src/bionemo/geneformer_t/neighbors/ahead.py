"""The nearest cells a short step ahead along an order, without comparing all cells with all.

Pseudotime has no unit: two methods stretch the same trajectory differently. Steps are therefore
measured in shares of the cells: a step of 0.1 leads past a tenth of them. Successors lie between
half a step and one and a half steps ahead; among these the most similar ones are taken.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.edges import graph_of_edges
from bionemo.geneformer_t.neighbors.nearest import check_num_neighbors, closeness, nearest

_EARLIEST, _LATEST = 0.5, 1.5
"""Where the window of successors begins and ends, in steps."""


def graph_ahead(
    points: Float[ndarray, "cell component"],
    pseudotime: Float[ndarray, " cell"],
    *,
    step: float,
    num_neighbors: int,
    group: Int[ndarray, " cell"] | None = None,
    may_follow: Bool[ndarray, "group group"] | None = None,
) -> NeighborGraph:
    """Link every cell to the most similar of the cells one step ahead.

    Args:
        points: Coordinates of the cells.
        pseudotime: Their order; cells where it is not finite take no part.
        step: How far ahead, as a share of the cells.
        num_neighbors: Successors of each cell, or all cells of its window if fewer.
        group: The group of each cell, such as its cluster.
        may_follow: Whether cells of the column's group may follow cells of the row's.

    Raises:
        ValueError: `step` does not lie between 0 and 1, `num_neighbors` is not positive, or there
            are not two different pseudotimes.
    """
    check_num_neighbors(num_neighbors)
    if not 0 < step < 1:
        raise ValueError(f"step is a share of the cells and must lie between 0 and 1; got {step}")
    place = places(pseudotime)
    groups = np.zeros(len(points), dtype=np.int64) if group is None else group
    allowed = np.ones((1, 1), dtype=bool) if may_follow is None else may_follow
    rows, columns, weights = [], [], []
    for current, candidates in _blocks(place, groups, allowed, step):
        found, distances = _nearest_in_window(
            points, place, current, candidates, step, num_neighbors
        )
        rows.append(np.repeat(current, found.shape[1]))
        columns.append(found.ravel())
        weights.append(closeness(distances).ravel())
    empty = np.zeros(0, dtype=np.int64)
    return graph_of_edges(
        np.concatenate([empty, *rows]),
        np.concatenate([empty, *columns]),
        np.concatenate([np.zeros(0), *weights]),
        len(points),
    )


def places(pseudotime: Float[ndarray, " cell"]) -> Float[ndarray, " cell"]:
    """The share of the cells that lie before each one, from 0 to 1; NaN where not finite.

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

    A block's candidates are those of all its cells together, so some of the nearest ones may lie
    outside the window of one cell: it is then asked again for more.
    """
    by_place = candidates[np.argsort(place[candidates], kind="stable")]
    earliest = np.searchsorted(place[by_place], place[current] + _EARLIEST * step, side="right")
    latest = np.searchsorted(place[by_place], place[current] + _LATEST * step, side="right")
    wanted = np.minimum(latest - earliest, num_neighbors)
    found = np.zeros((len(current), num_neighbors), dtype=np.int64)
    distances = np.full(found.shape, np.inf)
    pending, asked = np.flatnonzero(wanted > 0), 3 * num_neighbors
    while len(pending):
        near, far = nearest(points[current[pending]], points[by_place], asked)
        inside = (near >= earliest[pending, None]) & (near < latest[pending, None])
        rank = np.cumsum(inside, axis=1) - 1
        done = inside.sum(axis=1) >= wanted[pending]
        query, column = np.nonzero(inside & (rank < num_neighbors) & done[:, None])
        slot = (pending[query], rank[query, column])
        found[slot] = by_place[near[query, column]]
        distances[slot] = far[query, column]
        pending, asked = pending[~done], 4 * asked
    return found, distances
