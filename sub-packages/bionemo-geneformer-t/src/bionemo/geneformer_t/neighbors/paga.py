"""Which clusters are connected: the abstracted graph of PAGA (Wolf et al., 2019, Genome Biology).

The connectivity of two clusters is the number of edges between them in the nearest-neighbor graph,
over the number expected if the edges' ends were drawn at random among all cells: scanpy's model
`v1.2`, which needs igraph there and is a few sums here.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.neighbors.nearest import nearest_others

_NUM_NEIGHBORS = 15


class ConnectedClusters(NamedTuple):
    """Which clusters may follow each other."""

    cluster: Int[ndarray, " cell"]
    """The cluster of each cell, from 0."""
    connected: Bool[ndarray, "cluster cluster"]
    """Whether two clusters are the same or connected."""
    note: str
    """The connections, as a sentence."""


def connected_clusters(
    points: Float[ndarray, "cell component"],
    clusters: Shaped[ndarray, " cell"],
    min_connectivity: float,
) -> ConnectedClusters:
    """Connect the clusters of cells.

    Args:
        points: Coordinates of the cells.
        clusters: The cluster of each cell.
        min_connectivity: Connectivity from which on two clusters count as connected.

    Raises:
        ValueError: `min_connectivity` is not in [0, 1], or there is only one cell.
    """
    if not 0 <= min_connectivity <= 1:
        raise ValueError(f"min_connectivity must be in [0, 1]; got {min_connectivity}")
    names, cluster = np.unique(clusters, return_inverse=True)
    connectivities = cluster_connectivities(points, cluster)
    connected = (connectivities >= min_connectivity) & (connectivities > 0)
    pairs = [f"{names[i]} - {names[j]}" for i, j in np.argwhere(np.triu(connected, 1)).tolist()]
    return ConnectedClusters(
        cluster=cluster,
        connected=connected | np.eye(len(names), dtype=bool),
        note=f"PAGA connects: {', '.join(pairs) or 'no two clusters'}",
    )


def cluster_connectivities(
    points: Float[ndarray, "cell component"], cluster: Int[ndarray, " cell"]
) -> Float[ndarray, "cluster cluster"]:
    """Connectivities over the nearest neighbors of the cells, as `paga_connectivities` has them.

    Args:
        points: Coordinates of the cells.
        cluster: The cluster of each cell, from 0.

    Raises:
        ValueError: There is only one cell.
    """
    found, _ = nearest_others(points, _NUM_NEIGHBORS)
    edges = (np.ones(found.size), (np.repeat(np.arange(len(found)), found.shape[1]), found.ravel()))
    neighbors = sp.csr_array(sp.coo_array(edges, shape=(len(points), len(points))))
    return paga_connectivities(neighbors, cluster)


def paga_connectivities(
    neighbors: sp.csr_array, cluster: Int[ndarray, " cell"]
) -> Float[ndarray, "cluster cluster"]:
    """Connectivities in [0, 1], symmetric, 0 on the diagonal.

    Args:
        neighbors: Cells x cells; row i holds the nearest neighbors of cell i.
        cluster: The cluster of each cell, from 0.
    """
    num_cells = len(cluster)
    edges = sp.coo_array(neighbors)
    num = int(cluster.max()) + 1
    between = np.zeros((num, num))
    np.add.at(between, (cluster[edges.row], cluster[edges.col]), edges.data != 0)
    leaving = between.sum(axis=1)
    size = np.bincount(cluster, minlength=num)
    found = between + between.T
    expected = (leaving[:, None] * size + leaving * size[:, None]) / max(num_cells - 1, 1)
    ratio = np.divide(found, expected, out=np.ones_like(found), where=expected > 0)
    connectivities: Float[ndarray, "cluster cluster"] = np.where(found > 0, np.minimum(ratio, 1), 0)
    np.fill_diagonal(connectivities, 0)
    return connectivities
