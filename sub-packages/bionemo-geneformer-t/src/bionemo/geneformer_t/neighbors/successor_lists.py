"""From lists of successors to a graph, for several builders."""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph


def graph_of_rows(
    successors: Int[ndarray, "cell neighbor"], weights: Float[ndarray, "cell neighbor"]
) -> NeighborGraph:
    """The graph in which row i lists the successors of cell i; those of weight 0 are no edges."""
    num_cells, num = successors.shape
    rows = np.repeat(np.arange(num_cells), num)
    return graph_of_edges(rows, successors.ravel(), weights.ravel(), num_cells)


def graph_of_edges(
    rows: Int[ndarray, " edge"],
    columns: Int[ndarray, " edge"],
    weights: Float[ndarray, " edge"],
    num_cells: int,
) -> NeighborGraph:
    """The graph of these edges; those of weight 0 are left out."""
    matrix = sp.coo_array((weights, (rows, columns)), shape=(num_cells, num_cells))
    graph, _ = NeighborGraph.from_matrix(matrix)
    return graph


def strongest(matrix: sp.csr_array, num_neighbors: int | None) -> sp.csr_array:
    """The largest entries of each row; of equals, the first."""
    if num_neighbors is None:
        return matrix
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    rank = np.arange(len(rows)) - np.repeat(matrix.indptr[:-1], np.diff(matrix.indptr))
    keep = np.sort(order[rank < num_neighbors])
    edges = (matrix.data[keep], (rows[keep], matrix.indices[keep]))
    return sp.csr_array(sp.coo_array(edges, shape=matrix.shape))
