"""Diffusion pseudotime: how far a random walk through similar cells is from a root.

Haghverdi et al., 2016, Nature Methods, as scanpy computes it (`tl.diffmap`, `tl.dpt`), with the
authors' Gaussian kernel. The number of neighbors of the walk is a fixed fraction of the cells: with
few neighbors in many cells it passes the sparse parts of a trajectory so rarely that they determine
the pseudotime more than the way along it. From `LANDMARKS` cells on, an even sample of so many
cells is ordered, and each other cell is placed among the nearest of them.

Exact copies of a cell are one point of the walk, so they have one pseudotime and do not weigh on
that of others. The kernel is computed here and not by scanpy: its `gauss` method (1.11.5) takes
every cell's nearest neighbor for the cell itself, and one copy makes its kernel asymmetric.
"""

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.neighbors.nearest import closeness, nearest, nearest_others

if TYPE_CHECKING:
    import anndata

LANDMARKS = 4000
_NEIGHBOR_SHARE, _LEAST_NEIGHBORS = 0.02, 15
_NUM_COMPONENTS = 10
_NEAREST_LANDMARKS = 5
_LEAST_POINTS = 4


def diffusion_pseudotime(
    points: Float[ndarray, "cell component"],
    *,
    root: int | None = None,
    root_cells: Bool[ndarray, " cell"] | None = None,
) -> tuple[Float[ndarray, " cell"], int]:
    """Pseudotime from a root, scaled to [0, 1]; infinite for cells that no walk reaches.

    Args:
        points: Coordinates of the cells; exact copies (in float32) get the same pseudotime.
        root: The root cell, or
        root_cells: the cells of a root cluster; the one farthest from the cells outside, in
            diffusion space, is the root.

    Returns:
        The pseudotime and the root cell.

    Raises:
        ValueError: Fewer than four different cells, not one of `root` and `root_cells`, or a root
            cluster without cells or with all of them.
    """
    import scanpy as sc

    if (root is None) == (root_cells is None):
        raise ValueError("give either the root cell or the cells of the root cluster")
    cell_of_point, point_of_cell = _distinct(points)
    if len(cell_of_point) < _LEAST_POINTS:
        copies = len(points) - len(cell_of_point)
        raise ValueError(
            f"diffusion pseudotime needs at least four cells; got {len(cell_of_point)}"
            + (f" beside {copies} exact copies of them" if copies else "")
        )
    distinct = points[cell_of_point]
    chosen = _landmarks(len(distinct), None if root is None else int(point_of_cell[root]))
    cells = _diffusion_map(distinct[chosen])
    if root_cells is None:
        assert root is not None
        start, root_cell = int(np.searchsorted(chosen, point_of_cell[root])), root
    else:
        inside, outside = (
            np.bincount(point_of_cell, which, len(distinct))[chosen] > 0
            for which in (root_cells, ~root_cells)
        )
        start = _farthest(cells, inside, outside)
        root_cell = int(np.flatnonzero(root_cells & (point_of_cell == chosen[start]))[0])
    cells.uns["iroot"] = start
    sc.tl.dpt(cells, n_dcs=cells.obsm["X_diffmap"].shape[1])
    pseudotime = cells.obs["dpt_pseudotime"].to_numpy(dtype=np.float64)
    if len(chosen) < len(distinct):
        pseudotime = _extended(pseudotime, distinct[chosen], distinct)
    return pseudotime[point_of_cell], root_cell


def _distinct(points: ndarray) -> tuple[Int[ndarray, " point"], Int[ndarray, " cell"]]:
    """The first cell of each distinct point, in the cells' order, and the point of each cell."""
    # adding 0 turns -0, which is equal and has other bytes, into 0
    rows = np.ascontiguousarray(points, dtype=np.float32) + np.float32(0)
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, point = np.unique(as_bytes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[point]


def _landmarks(num_points: int, root: int | None) -> Int[ndarray, " landmark"]:
    even = np.linspace(0, num_points - 1, min(num_points, LANDMARKS)).astype(np.int64)
    return np.union1d(even, [] if root is None else [root]).astype(np.int64)


def _diffusion_map(points: ndarray) -> "anndata.AnnData":
    """An AnnData with scanpy's diffusion map of distinct points."""
    import anndata
    import pandas as pd
    import scanpy as sc

    num = min(max(_LEAST_NEIGHBORS, round(_NEIGHBOR_SHARE * len(points))), len(points) - 1)
    kernel = gaussian_kernel(np.asarray(points, dtype=np.float32), num - 1)
    assert abs(kernel - kernel.T).max() == 0, "the kernel of a random walk must be symmetric"
    cells = anndata.AnnData(
        obs=pd.DataFrame(index=pd.RangeIndex(len(points)).astype(str)),
        obsp={"connectivities": kernel},
    )
    cells.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "distances",
        "params": {"n_neighbors": num, "method": "gauss"},
    }
    # scanpy's number counts the first axis, which is the same for all cells
    sc.tl.diffmap(cells, n_comps=min(_NUM_COMPONENTS + 1, len(points) - 1))
    largest = float(np.max(cells.uns["diffmap_evals"]))
    # scanpy keeps eigenvalues in float32
    assert abs(largest - 1) < 1e-4, f"a random walk's largest eigenvalue is 1; got {largest}"
    return cells


def gaussian_kernel(points: Float[ndarray, "point component"], num_neighbors: int) -> sp.csr_matrix:
    """Similarities of points that are neighbors, symmetric, without a diagonal.

    Haghverdi et al., 2016: Gaussians whose squared width is the median squared distance to the
    neighbors of either point, normalised to overlap by 1 with themselves; two points are linked
    where one is among the other's neighbors.

    Args:
        points: Distinct points.
        num_neighbors: Nearest others that each point is linked with.
    """
    found, distances = nearest_others(points, num_neighbors)
    rows, columns = np.repeat(np.arange(len(points)), num_neighbors), found.ravel()
    square = distances**2
    variance = np.median(square, axis=1)
    sigma, both = np.sqrt(variance), variance[rows] + variance[columns]
    overlap = np.sqrt(2 * sigma[rows] * sigma[columns] / both)
    weights = overlap * np.exp(-square.ravel() / both)
    indptr = np.arange(0, len(rows) + 1, num_neighbors)
    directed = sp.csr_matrix((weights, columns, indptr), shape=(len(points), len(points)))
    # rounding may measure one way and back differently; the larger weight serves both
    return directed.maximum(directed.T).tocsr()


def _farthest(
    cells: "anndata.AnnData",
    inside: Bool[ndarray, " point"],
    outside: Bool[ndarray, " point"],
) -> int:
    """The member of a cluster whose mean squared diffusion distance to the others is largest.

    With the distance of diffusion pseudotime, whose axes are scaled by l / (1 - l), the mean over
    the others needs only their mean on each axis.
    """
    if not inside.any():
        raise ValueError("no cell belongs to the root cluster")
    if not outside.any():
        raise ValueError("all cells belong to the root cluster; name a root cell instead")
    values = np.asarray(cells.uns["diffmap_evals"], dtype=np.float64)
    axes = np.asarray(cells.obsm["X_diffmap"], dtype=np.float64)
    moving = values < 0.9994  # scanpy's bound: beyond are the axes of unconnected parts
    scaled = axes[:, moving] * (values[moving] / (1 - values[moving]))
    distance = ((scaled - scaled[outside].mean(axis=0)) ** 2).sum(axis=1)
    return int(np.where(inside, distance, -np.inf).argmax())


def _extended(
    of_landmarks: Float[ndarray, " landmark"], landmarks: ndarray, points: ndarray
) -> Float[ndarray, " cell"]:
    """The mean of the nearest landmarks, infinite where the very nearest is."""
    found, distances = nearest(points, landmarks, _NEAREST_LANDMARKS)
    values = of_landmarks[found]
    reached = np.isfinite(values)
    weights = closeness(np.where(reached, distances, np.inf))
    mean = (np.where(reached, values, 0) * weights).sum(axis=1)
    return np.where(reached[:, 0], mean, np.inf)
