"""Successors along branches: a short step ahead, and never into a cluster that is not connected.

Which clusters are connected says PAGA (Wolf et al., 2019, Genome Biology). Pseudotime alone cannot
tell branches apart: late cells of one are as far ahead as late cells of the other.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.forward_window import graph_ahead
from bionemo.geneformer_t.neighbors.nearest import nearest_others
from bionemo.geneformer_t.neighbors.paga import paga_connectivities

_NUM_NEIGHBORS = 15


def trajectory_neighbors(
    points: Float[ndarray, "cell component"],
    clusters: Shaped[ndarray, " cell"],
    pseudotime: Float[ndarray, " cell"],
    *,
    step: float = 0.1,
    num_neighbors: int = 5,
    min_connectivity: float = 0.05,
) -> tuple[NeighborGraph, list[str]]:
    """Link every cell to the most similar cells a step ahead in its cluster or a connected one.

    Args:
        points: Coordinates of the cells, such as `obsm["X_pca"]`.
        clusters: The cluster of each cell.
        pseudotime: Place of each cell along the trajectory; cells where it is not finite take no
            part.
        step: How far ahead successors lie, as a share of the cells.
        num_neighbors: Successors of each cell at most.
        min_connectivity: PAGA's connectivity from which on two clusters count as connected.

    Returns:
        The graph, and notes on what is not connected or has no successor.

    Raises:
        ValueError: A setting is out of range, or no two cells differ in pseudotime.
    """
    names, cluster, connected = connected_clusters(points, clusters, min_connectivity)
    graph, notes = graph_ahead(
        points,
        pseudotime,
        step=step,
        num_neighbors=num_neighbors,
        group=cluster,
        may_follow=connected,
    )
    return graph, [connection_note(names, connected), *notes]


def connected_clusters(
    points: Float[ndarray, "cell component"],
    clusters: Shaped[ndarray, " cell"],
    min_connectivity: float,
) -> tuple[Shaped[ndarray, " cluster"], Int[ndarray, " cell"], Bool[ndarray, "cluster cluster"]]:
    """The clusters' names, each cell's cluster, and which clusters are the same or connected.

    Raises:
        ValueError: `min_connectivity` does not lie in [0, 1], or there is only one cell.
    """
    if not 0 <= min_connectivity <= 1:
        raise ValueError(f"min_connectivity must be in [0, 1]; got {min_connectivity}")
    names, cluster = np.unique(clusters, return_inverse=True)
    found, _ = nearest_others(points, _NUM_NEIGHBORS)
    edges = (np.ones(found.size), (np.repeat(np.arange(len(found)), found.shape[1]), found.ravel()))
    neighbors = sp.csr_array(sp.coo_array(edges, shape=(len(points), len(points))))
    connectivities = paga_connectivities(neighbors, cluster)
    connected = (connectivities >= min_connectivity) & (connectivities > 0)
    return names, cluster, connected | np.eye(len(names), dtype=bool)


def connection_note(
    names: Shaped[ndarray, " cluster"], connected: Bool[ndarray, "cluster cluster"]
) -> str:
    """Which clusters PAGA connects, as a sentence."""
    pairs = [f"{names[i]} - {names[j]}" for i, j in np.argwhere(np.triu(connected, 1)).tolist()]
    return f"PAGA connects: {', '.join(pairs) or 'no two clusters'}"
