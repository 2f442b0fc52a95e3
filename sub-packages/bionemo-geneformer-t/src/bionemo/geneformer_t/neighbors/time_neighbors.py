"""Successors in real time: the most similar cells of the next time point."""

from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.nearest import closeness, nearest


def time_neighbors(
    representation: Float[ndarray, "cell component"],
    times: Float[ndarray, " cell"],
    num_neighbors: int = 5,
) -> NeighborGraph:
    """Link every cell to its nearest cells of the next time point.

    The next time point is the next one that these cells hold, so a split that lacks one still
    links the times around it. Cells of the last time point have no successors.

    Args:
        representation: Coordinates of the cells, such as `obsm["X_pca"]`.
        times: Time of each cell.
        num_neighbors: Successors of each cell, or all cells of the next time point if fewer.

    Raises:
        ValueError: A time is not a number, all cells have the same time, or `num_neighbors` is
            not positive.
    """
    if not np.isfinite(times).all():
        raise ValueError(
            f"every cell needs a time; {int((~np.isfinite(times)).sum())} of {len(times)} have "
            "none; leave those cells out first"
        )
    points = np.unique(times)
    if len(points) < 2:
        raise ValueError(
            "successors in time need at least two time points; all cells have "
            f"{', '.join(f'{point:g}' for point in points) or 'no time'}"
        )
    rows, columns, weights = [], [], []
    for now, later in pairwise(points):
        current, following = np.flatnonzero(times == now), np.flatnonzero(times == later)
        found, distances = nearest(
            representation[current], representation[following], num_neighbors
        )
        rows.append(np.repeat(current, found.shape[1]))
        columns.append(following[found].ravel())
        weights.append(closeness(distances).ravel())
    shape = (len(times), len(times))
    edges = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    graph, _ = NeighborGraph.from_matrix(sp.coo_array(edges, shape=shape))
    return graph
