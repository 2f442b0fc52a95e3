"""Which clusters are connected: the abstracted graph of PAGA (Wolf et al., 2019, Genome Biology).

The connectivity of two clusters is the number of edges between them in the nearest-neighbor graph,
over the number expected if the edges' ends were drawn at random among all cells: scanpy's model
`v1.2`, which needs igraph there and is a few sums here.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray


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
