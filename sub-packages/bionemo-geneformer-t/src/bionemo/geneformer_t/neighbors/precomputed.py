"""Successors from a matrix that another tool computed.

RNA velocity (scVelo's velocity graph; see `counts.velocity_transitions`), CellRank (`T_fwd`), a
moscot coupling: any cells x cells matrix of `obsp` whose entries are weights of successors.
"""

import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Built, Cells
from bionemo.geneformer_t.neighbors.nearest import check_num_neighbors
from bionemo.geneformer_t.neighbors.successor_lists import strongest


def precomputed_neighbors(cells: Cells, settings: BuilderSettings) -> Built:
    """Link every cell to the cells with the largest entries in its row of a matrix of obsp.

    Returns:
        The graph, and notes on entries that were left out.

    Raises:
        KeyError: There is no such matrix.
        ValueError: No matrix is named, it is not square, an entry is negative or not finite, no
            edge is left, or `num_neighbors` is not positive.
    """
    held = ", ".join(cells.obsp) or "none"
    if settings.obsp_key is None:
        raise ValueError(f"obsp_key must name a matrix of obsp; it has: {held}")
    if settings.obsp_key not in cells.obsp:
        raise KeyError(f"obsp_key: obsp has no matrix {settings.obsp_key!r}; it has: {held}")
    check_num_neighbors(settings.num_neighbors)
    matrix = cells.obsp[settings.obsp_key]
    edges = sp.csr_array(matrix if sp.issparse(matrix) else np.asarray(matrix))
    full, left_out = NeighborGraph.from_matrix(edges.T if settings.transposed else edges)
    if not full.num_edges:
        raise ValueError(f"the matrix of shape {edges.shape} holds no edge between different cells")
    kept = strongest(sp.csr_array(full.to_matrix()), settings.num_neighbors)
    graph, _ = NeighborGraph.from_matrix(kept)
    notes = []
    if left_out["self-loop"]:
        notes.append(f"{left_out['self-loop']} cells were their own successors; that is left out")
    if full.num_edges > graph.num_edges:
        notes.append(
            f"{graph.num_edges} of {full.num_edges} edges are kept: the {settings.num_neighbors} "
            "strongest of each cell"
        )
    return graph, notes
