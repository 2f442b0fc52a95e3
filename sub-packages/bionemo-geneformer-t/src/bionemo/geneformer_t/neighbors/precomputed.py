"""Successors from a matrix that another tool computed.

RNA velocity (scVelo's velocity graph; see `velocity`), CellRank (`T_fwd`), a moscot coupling: any
cells x cells matrix of `obsp` whose entries say how likely one cell follows another.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.nearest import check_num_neighbors
from bionemo.geneformer_t.neighbors.successor_lists import strongest


def precomputed_neighbors(
    matrix: Any, *, num_neighbors: int | None = None, transposed: bool = False
) -> tuple[NeighborGraph, list[str]]:
    """Link every cell to the cells with the largest entries in its row.

    Args:
        matrix: Cells x cells, dense or sparse; entries are weights, 0 is no edge.
        num_neighbors: Successors of each cell at most; all by default.
        transposed: Columns, not rows, are the current cells.

    Returns:
        The graph, and notes on entries that were left out.

    Raises:
        ValueError: The matrix is not square, an entry is negative or not finite, no edge is left,
            or `num_neighbors` is not positive.
    """
    if num_neighbors is not None:
        check_num_neighbors(num_neighbors)
    edges = sp.csr_array(matrix) if sp.issparse(matrix) else sp.csr_array(np.asarray(matrix))
    full, left_out = NeighborGraph.from_matrix(edges.T if transposed else edges)
    if not full.num_edges:
        raise ValueError(f"the matrix of shape {edges.shape} holds no edge between different cells")
    graph, _ = NeighborGraph.from_matrix(strongest(sp.csr_array(full.to_matrix()), num_neighbors))
    notes = []
    if left_out["self-loop"]:
        notes.append(f"{left_out['self-loop']} cells were their own successors; that is left out")
    if full.num_edges > graph.num_edges:
        notes.append(
            f"{graph.num_edges} of {full.num_edges} edges are kept: the {num_neighbors} strongest "
            "of each cell"
        )
    return graph, notes
