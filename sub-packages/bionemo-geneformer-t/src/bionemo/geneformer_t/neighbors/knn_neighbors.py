"""Successors without a direction: the most similar cells.

The neighbors are those that scanpy's `pp.neighbors` finds (Wolf et al., 2018, Genome Biology) with
the Euclidean metric: exact for few cells, by pynndescent for many.
"""

from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.nearest import closeness, nearest_others
from bionemo.geneformer_t.neighbors.successor_lists import graph_of_rows


def knn_neighbors(points: Float[ndarray, "cell component"], num_neighbors: int) -> NeighborGraph:
    """Link every cell to its nearest other cells.

    Args:
        points: Coordinates of the cells, such as `obsm["X_pca"]`.
        num_neighbors: Neighbors of each cell, or all others if fewer.

    Raises:
        ValueError: `num_neighbors` is not positive, or there is only one cell.
    """
    found, distances = nearest_others(points, num_neighbors)
    return graph_of_rows(found, closeness(distances))
