"""Diffusion pseudotime: how far a random walk through similar cells is from a root.

Haghverdi et al., 2016, Nature Methods, as scanpy computes it (`tl.diffmap`, `tl.dpt`), with the
authors' Gaussian kernel. The walk steps to a fixed share of the cells, not to a fixed number: with
few neighbors in many cells it passes the thin places of a trajectory so rarely that they come to
mean more than the way along it. From `LANDMARKS` cells on, an even sample of so many cells is
ordered, and each other cell takes its place among the nearest of them.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.neighbors.nearest import closeness, nearest

if TYPE_CHECKING:
    import anndata

LANDMARKS = 4000
_NEIGHBOR_SHARE, _LEAST_NEIGHBORS = 0.02, 15
_NUM_COMPONENTS = 10
_NEAREST_LANDMARKS = 5


def diffusion_pseudotime(
    points: Float[ndarray, "cell component"],
    *,
    root: int | None = None,
    root_cells: Bool[ndarray, " cell"] | None = None,
) -> tuple[Float[ndarray, " cell"], int]:
    """Pseudotime from a root, scaled to [0, 1]; infinite for cells that no walk reaches.

    Args:
        points: Coordinates of the cells.
        root: The root cell, or
        root_cells: the cells of a root cluster; the one farthest from the cells outside, in
            diffusion space, is the root.

    Returns:
        The pseudotime and the root cell.

    Raises:
        ValueError: Fewer than four cells, not one of `root` and `root_cells`, or a root cluster
            without cells or with all of them.
    """
    import scanpy as sc

    if (root is None) == (root_cells is None):
        raise ValueError("give either the root cell or the cells of the root cluster")
    if len(points) < 4:
        raise ValueError(f"diffusion pseudotime needs at least four cells; got {len(points)}")
    chosen = _landmarks(len(points), root)
    cells = _diffusion_map(points[chosen])
    if root_cells is None:
        start = int(np.searchsorted(chosen, root or 0))
    else:
        start = _farthest(cells, root_cells[chosen])
    cells.uns["iroot"] = start
    sc.tl.dpt(cells, n_dcs=cells.obsm["X_diffmap"].shape[1])
    pseudotime = cells.obs["dpt_pseudotime"].to_numpy(dtype=np.float64)
    if len(chosen) < len(points):
        pseudotime = _extended(pseudotime, points[chosen], points)
    return pseudotime, int(chosen[start])


def _landmarks(num_cells: int, root: int | None) -> Int[ndarray, " landmark"]:
    even = np.linspace(0, num_cells - 1, min(num_cells, LANDMARKS)).astype(np.int64)
    return np.union1d(even, [] if root is None else [root]).astype(np.int64)


def _diffusion_map(points: ndarray) -> "anndata.AnnData":
    import anndata
    import pandas as pd
    import scanpy as sc

    cells = anndata.AnnData(
        obs=pd.DataFrame(index=pd.RangeIndex(len(points)).astype(str)),
        obsm={"points": np.asarray(points, dtype=np.float32)},
    )
    num = min(max(_LEAST_NEIGHBORS, round(_NEIGHBOR_SHARE * len(points))), len(points) - 1)
    sc.pp.neighbors(cells, n_neighbors=num, use_rep="points", method="gauss", random_state=0)
    # scanpy's number counts the first axis, which is the same for all cells
    sc.tl.diffmap(cells, n_comps=min(_NUM_COMPONENTS + 1, len(points) - 1))
    return cells


def _farthest(cells: "anndata.AnnData", among: Bool[ndarray, " cell"]) -> int:
    """The member of a cluster whose mean squared diffusion distance to the others is largest.

    With the distance of diffusion pseudotime, whose axes are scaled by l / (1 - l), the mean over
    the others needs only their mean on each axis.
    """
    if not among.any():
        raise ValueError("no cell belongs to the root cluster")
    if among.all():
        raise ValueError("all cells belong to the root cluster; name a root cell instead")
    values = np.asarray(cells.uns["diffmap_evals"], dtype=np.float64)
    axes = np.asarray(cells.obsm["X_diffmap"], dtype=np.float64)
    moving = values < 0.9994  # scanpy's bound: beyond lie the axes of unconnected parts
    scaled = axes[:, moving] * (values[moving] / (1 - values[moving]))
    distance = ((scaled - scaled[~among].mean(axis=0)) ** 2).sum(axis=1)
    return int(np.where(among, distance, -np.inf).argmax())


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
