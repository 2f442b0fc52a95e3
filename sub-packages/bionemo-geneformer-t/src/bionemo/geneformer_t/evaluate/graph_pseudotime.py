"""An order of cells where no time is known: the one that edges of a graph agree on best.

Each cell gets the position for which a step along an edge is, on average, one ahead: the least
squares solution over all edges, weighted (HodgeRank, Jiang et al. 2011). It needs no root, and a
graph with cycles has one too.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph

_MAX_ITERATIONS = 2000
_TOLERANCE = 1e-8


def position_along(graph: NeighborGraph) -> Float[ndarray, " cell"]:
    """Position of every cell in steps, with mean 0 in each connected part; NaN without an edge."""
    from scipy.sparse.linalg import lsqr

    importance, edges = np.sqrt(graph.probabilities), np.arange(graph.num_edges)
    steps = sp.csr_array(
        (
            np.concatenate([importance, -importance]),
            (np.tile(edges, 2), np.concatenate([graph.indices, graph.current])),
        ),
        shape=(graph.num_edges, graph.num_cells),
    )
    position: ndarray = lsqr(
        steps, importance, atol=_TOLERANCE, btol=_TOLERANCE, iter_lim=_MAX_ITERATIONS
    )[0]
    return np.where(graph.out_degree + graph.in_degree > 0, position, np.nan)
