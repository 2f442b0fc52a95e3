"""Transition matrices of CellRank's kernels (extra `cellrank`).

A kernel's matrix is made for Markov chains: to keep them connected it holds steps back, steps to
nearby cells of other branches, and cells that stay. As successors these are wrong; they are taken
out and counted. Weiler et al., 2024, Nature Methods.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.optional_packages import need
from bionemo.geneformer_t.neighbors.scanpy_neighbors import scanpy_neighbors
from bionemo.geneformer_t.neighbors.successor_lists import strongest
from bionemo.geneformer_t.neighbors.transport import couplings

_NUM_NEIGHBORS = 30
_MASS_PER_CELL = 50
"""Entries of each row of a coupling that the real-time kernel sees."""


def pseudotime_kernel(
    points: Float[ndarray, "cell component"], pseudotime: Float[ndarray, " cell"]
) -> sp.csr_array:
    """`PseudotimeKernel`: nearest neighbors, those ahead preferred (after Palantir's rule)."""
    need("cellrank", "trajectory_method 'pseudotime_kernel'")
    there = np.flatnonzero(np.isfinite(pseudotime))
    with _quiet():
        from cellrank.kernels import PseudotimeKernel

        cells = _cells(points[there])
        cells.obs["pseudotime"] = pseudotime[there]
        kernel = PseudotimeKernel(cells, time_key="pseudotime")
        kernel.compute_transition_matrix(threshold_scheme="hard", show_progress_bar=False)
    return _placed(kernel.transition_matrix, there, len(points))


def cytotrace_kernel(
    points: Float[ndarray, "cell component"], expression: Any
) -> tuple[sp.csr_array, Float[ndarray, " cell"]]:
    """`CytoTRACEKernel` and the pseudotime behind it: cells that express fewer genes come later.

    Args:
        points: Coordinates of the cells, for their nearest neighbors.
        expression: Cells x genes, log-normalised; smoothed over the neighbors here.

    Raises:
        ImportError: cellrank is not installed.
        ValueError: There is no expression.
    """
    need("cellrank", "trajectory_method 'cytotrace_kernel'")
    if expression is None:
        raise ValueError(
            "trajectory_method 'cytotrace_kernel' counts expressed genes and needs log-normalised "
            "expression; there is none. Give it, or choose another trajectory_method"
        )
    with _quiet():
        from cellrank.kernels import CytoTRACEKernel

        cells = _cells(points, sp.csr_matrix(expression, dtype=np.float32))
        nearby = sp.csr_matrix(cells.obsp["connectivities"] > 0, dtype=np.float32)
        nearby.setdiag(1)
        cells.layers["smooth"] = (
            sp.csr_matrix(nearby @ cells.X).multiply(1 / np.asarray(nearby.sum(axis=1))).tocsr()
        )
        kernel = CytoTRACEKernel(cells).compute_cytotrace(layer="smooth")
        kernel.compute_transition_matrix(threshold_scheme="hard", show_progress_bar=False)
    pseudotime = cells.obs["ct_pseudotime"].to_numpy(dtype=np.float64)
    return sp.csr_array(kernel.transition_matrix), pseudotime


def realtime_kernel(
    points: Float[ndarray, "cell component"], times: Float[ndarray, " cell"]
) -> tuple[sp.csr_array, list[str]]:
    """`RealTimeKernel` on moscot's couplings of consecutive time points."""
    need("cellrank", "trajectory_method 'realtime_kernel'")
    coupled, notes = couplings(points, times, _MASS_PER_CELL)
    there = np.flatnonzero(np.isfinite(times))
    labels = np.unique(times[there])
    with _quiet():
        import anndata
        import pandas as pd
        from cellrank.kernels import RealTimeKernel

        cells = _cells(points[there])
        cells.obs["time"] = pd.Categorical(times[there], categories=labels)
        blocks = {}
        for now, later in pairwise(labels):
            rows, columns = np.flatnonzero(times == now), np.flatnonzero(times == later)
            names = [cells.obs_names[np.searchsorted(there, part)] for part in (rows, columns)]
            blocks[now, later] = anndata.AnnData(
                sp.csr_matrix(coupled[rows][:, columns]),
                obs=pd.DataFrame(index=names[0]),
                var=pd.DataFrame(index=names[1]),
            )
        kernel = RealTimeKernel(cells, time_key="time", couplings=blocks)
        kernel.compute_transition_matrix(threshold=None, self_transitions="diagonal")
    return _placed(kernel.transition_matrix, there, len(points)), notes


def forward_steps(
    transitions: sp.csr_array,
    order: Float[ndarray, " cell"],
    cluster: Int[ndarray, " cell"],
    connected: Bool[ndarray, "cluster cluster"],
    num_neighbors: int,
) -> tuple[NeighborGraph, list[str]]:
    """The most probable transitions that lead ahead, within a cluster or into a connected one.

    Returns:
        The graph, and a note on the transitions that were taken out.
    """
    edges = sp.coo_array(transitions)
    between = edges.row != edges.col
    ahead = order[edges.col] > order[edges.row]
    linked = connected[cluster[edges.row], cluster[edges.col]]
    keep = between & ahead & linked & (edges.data > 0)
    kept = (edges.data[keep], (edges.row[keep], edges.col[keep]))
    matrix = strongest(sp.csr_array(sp.coo_array(kept, shape=edges.shape)), num_neighbors)
    graph, _ = NeighborGraph.from_matrix(matrix)
    alone = int((graph.out_degree == 0).sum())
    note = (
        f"of the kernel's {int(between.sum())} transitions {int((between & ~ahead).sum())} lead "
        f"back and {int((between & ahead & ~linked).sum())} into clusters that are not connected; "
        f"they are left out, and {alone} cells have no successor"
    )
    return graph, [note]


def _cells(points: ndarray, expression: Any = None) -> Any:
    """An AnnData with scanpy's neighbor graph of the points."""
    import anndata
    import pandas as pd

    cells = anndata.AnnData(
        expression,
        obs=pd.DataFrame(index=pd.RangeIndex(len(points)).astype(str)),
        obsm={"points": np.asarray(points, dtype=np.float32)},
    )
    scanpy_neighbors(cells, "points", max(2, min(_NUM_NEIGHBORS, len(points) - 1)))
    return cells


def _placed(matrix: Any, there: Int[ndarray, " part"], num_cells: int) -> sp.csr_array:
    """A matrix of some cells among all of them."""
    edges = sp.coo_array(matrix)
    placed = (edges.data, (there[edges.row], there[edges.col]))
    return sp.csr_array(sp.coo_array(placed, shape=(num_cells, num_cells)))


@contextmanager
def _quiet() -> Iterator[None]:
    """CellRank and scVelo announce their own deprecations, which users cannot act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield
