"""Diffusion pseudotime: how far a random walk through similar cells is from a root.

Haghverdi et al., 2016, Nature Methods, as scanpy computes it (`pp.neighbors`, `tl.diffmap`,
`tl.dpt`).
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

if TYPE_CHECKING:
    import anndata

_NUM_NEIGHBORS = 15
_NUM_COMPONENTS = 10


def diffusion_pseudotime(
    points: Float[ndarray, "cell component"],
    *,
    root: int | None = None,
    root_cells: Bool[ndarray, " cell"] | None = None,
    num_neighbors: int = _NUM_NEIGHBORS,
) -> tuple[Float[ndarray, " cell"], int]:
    """Pseudotime from a root, scaled to [0, 1]; infinite for cells that no path reaches.

    Args:
        points: Coordinates of the cells.
        root: The root cell, or
        root_cells: the cells of a root cluster; the one farthest from all other cells, in
            diffusion space, is the root.
        num_neighbors: Neighbors of each cell in the graph of the walk.

    Returns:
        The pseudotime and the root cell.

    Raises:
        ValueError: Fewer than three cells, or not one of `root` and `root_cells`.
    """
    import scanpy as sc

    if (root is None) == (root_cells is None):
        raise ValueError("give either the root cell or the cells of the root cluster")
    if len(points) < 3:
        raise ValueError(f"diffusion pseudotime needs at least three cells; got {len(points)}")
    cells = neighbor_data(points, num_neighbors)
    components = min(_NUM_COMPONENTS, len(points) - 2)
    sc.tl.diffmap(cells, n_comps=components + 1)
    start = _farthest(cells, root_cells) if root_cells is not None else root
    cells.uns["iroot"] = start
    sc.tl.dpt(cells, n_dcs=components)
    return cells.obs["dpt_pseudotime"].to_numpy(dtype=np.float64), int(start or 0)


def neighbor_data(
    points: Float[ndarray, "cell component"], num_neighbors: int = _NUM_NEIGHBORS
) -> "anndata.AnnData":
    """An AnnData without genes that holds scanpy's neighbor graph of the points."""
    import anndata
    import pandas as pd
    import scanpy as sc

    names = pd.RangeIndex(len(points)).astype(str)
    cells = anndata.AnnData(
        obs=pd.DataFrame(index=names), obsm={"points": np.asarray(points, dtype=np.float32)}
    )
    num = min(num_neighbors, len(points) - 1)
    sc.pp.neighbors(cells, n_neighbors=num, use_rep="points", random_state=0)
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
