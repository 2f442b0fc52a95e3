"""Successors in real time: cells of the next time point.

Two ways. `ot` couples consecutive time points by optimal transport (moscot's `TemporalProblem`;
Klein et al., 2025, Nature) and takes the successors that receive most of a cell's mass. `mutual`
needs no further package: it prefers pairs of cells that are among each other's nearest (mutual
nearest neighbors; Haghverdi et al., 2018, Nature Biotechnology), so that a few cells of the next
time point do not become everybody's successor.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.edges import graph_of_edges
from bionemo.geneformer_t.neighbors.nearest import check_num_neighbors, closeness, nearest

MUTUAL_REACH = 4
"""Two cells are mutual when each is among the other's `MUTUAL_REACH * num_neighbors` nearest."""


def time_neighbors(
    representation: Float[ndarray, "cell component"],
    times: Float[ndarray, " cell"],
    num_neighbors: int = 5,
) -> tuple[NeighborGraph, list[str]]:
    """Link every cell to mutual nearest neighbors at the next time point.

    A cell's successors are its nearest mutual neighbors. A cell that has none gets its nearest
    cells of the next time point, and is counted. The next time point is the next one that these
    cells hold, so a split that lacks one still links the times around it. Cells of the last time
    point have no successors.

    Args:
        representation: Coordinates of the cells, such as `obsm["X_pca"]`.
        times: Time of each cell; cells where it is NaN take no part.
        num_neighbors: Successors of each cell at most.

    Returns:
        The graph, and notes on cells without a time or without a mutual neighbor.

    Raises:
        ValueError: All cells have the same time, or `num_neighbors` is not positive.
    """
    check_num_neighbors(num_neighbors)
    points, notes = time_points(times)
    rows, columns, weights = [], [], []
    alone = 0
    for now, later in pairwise(points):
        current, following = np.flatnonzero(times == now), np.flatnonzero(times == later)
        found, distances, lonely = _mutual(
            representation[current], representation[following], num_neighbors
        )
        alone += lonely
        rows.append(np.repeat(current, found.shape[1]))
        columns.append(following[found].ravel())
        weights.append(closeness(distances).ravel())
    if alone:
        notes.append(
            f"{alone} cells have no mutual neighbor at the next time point and got their nearest "
            "cells instead"
        )
    graph = graph_of_edges(
        np.concatenate(rows), np.concatenate(columns), np.concatenate(weights), len(times)
    )
    return graph, notes


def time_points(times: Float[ndarray, " cell"]) -> tuple[Float[ndarray, " point"], list[str]]:
    """The distinct times from early to late, and a note on cells without a time.

    Raises:
        ValueError: There are fewer than two.
    """
    there = np.isfinite(times)
    points = np.unique(times[there])
    if len(points) < 2:
        raise ValueError(
            "successors in time need at least two time points; all cells have "
            f"{', '.join(f'{point:g}' for point in points) or 'no time'}"
        )
    missing = int((~there).sum())
    return points, [f"{missing} of {len(times)} cells have no time and no edges"] * bool(missing)


def _mutual(
    current: ndarray, following: ndarray, num_neighbors: int
) -> tuple[Int[ndarray, "cell neighbor"], Float[ndarray, "cell neighbor"], int]:
    """Successors of each current cell, their distances (infinity: none), and cells without mutual.

    Mutual neighbors come first because all others are put at infinity.
    """
    reach = MUTUAL_REACH * num_neighbors
    found, distances = nearest(current, following, reach)
    back, _ = nearest(following, current, reach)
    here = np.arange(len(current))[:, None]
    # a pair as one number, so that membership of millions of pairs is one sorted search
    pairs = found * len(current) + here
    returned = np.arange(len(following))[:, None] * len(current) + back
    is_mutual = np.isin(pairs, returned)
    alone = ~is_mutual.any(axis=1)
    among_mutual = np.where(is_mutual, distances, np.inf)
    among_mutual[alone] = distances[alone]
    first = np.argsort(among_mutual, axis=1, kind="stable")[:, :num_neighbors]
    return (
        np.take_along_axis(found, first, axis=1),
        np.take_along_axis(among_mutual, first, axis=1),
        int(alone.sum()),
    )
