"""Successors in pseudotime: the most similar cells a short step ahead."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.builder_input import Cells
from bionemo.geneformer_t.neighbors.diffusion import diffusion_pseudotime
from bionemo.geneformer_t.neighbors.forward_window import graph_ahead
from bionemo.geneformer_t.obs_columns import obs_column, obs_labels

DIFFUSION_PSEUDOTIME = "dpt_pseudotime"
"""Column of obs that keeps a pseudotime computed from a root; scanpy's name."""
FROM_A_ROOT = {"pseudotime", "trajectory"}
"""Methods that may start from a root."""


def pseudotime_neighbors(
    points: Float[ndarray, "cell component"],
    pseudotime: Float[ndarray, " cell"],
    *,
    step: float = 0.1,
    num_neighbors: int = 5,
) -> tuple[NeighborGraph, list[str]]:
    """Link every cell to the most similar of the cells half a step to one and a half steps ahead.

    The rule of this package's simulator, on measured similarity; pseudotime may come from any
    method, for example diffusion pseudotime (`diffusion_pseudotime`).

    Args:
        points: Coordinates of the cells, such as `obsm["X_pca"]`.
        pseudotime: Place of each cell along the trajectory; cells where it is not finite take no
            part. Only its order counts.
        step: How far ahead successors lie, as a share of the cells.
        num_neighbors: Successors of each cell at most.

    Returns:
        The graph, and notes on cells and edges that were left out.

    Raises:
        ValueError: `step` or `num_neighbors` is out of range, or no two cells differ in pseudotime.
    """
    return graph_ahead(points, pseudotime, step=step, num_neighbors=num_neighbors)


def pseudotime_values(column: "pd.Series[Any]") -> Float[ndarray, " cell"]:
    """A column of obs as numbers, text included; NaN where it is missing.

    Raises:
        ValueError: A value is no number; the message shows some of them.
    """
    values = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(dtype=np.float64)
    texts = column.astype(object).where(column.notna(), "").astype(str).str.strip().str.lower()
    odd = np.isnan(values) & ~texts.isin(["", "nan", "none", "na", "n/a", "<na>"]).to_numpy()
    if odd.any():
        shown = ", ".join(map(repr, column[odd].unique()[:5]))
        raise ValueError(
            f"pseudotime must be numbers; {int(odd.sum())} of {len(column)} cells of obs"
            f"[{column.name!r}] have others, such as {shown}"
        )
    return values


def pseudotime_of(
    cells: Cells, *, pseudotime_key: str | None, root: str | None, cluster_key: str | None
) -> tuple[Float[ndarray, " cell"], list[str]]:
    """The pseudotime of obs, or diffusion pseudotime from a root cell or a root cluster.

    Returns:
        The pseudotime, and notes on how it came about.

    Raises:
        KeyError: No such column, or the root is neither a cell nor a cluster.
        ValueError: Not one of `pseudotime_key` and `root` is given, or values are no numbers.
    """
    if (pseudotime_key is None) == (root is None) and cells.root_point is None:
        raise ValueError(
            "pseudotime comes either from a column of obs (pseudotime_key) or from diffusion from "
            "a root cell or cluster (root); "
            + ("both are given" if root is not None else "neither is given")
        )
    if pseudotime_key is not None:
        column = obs_column(cells.obs, pseudotime_key, "pseudotime_key")
        return pseudotime_values(column), []
    if cells.root_point is not None:
        nearest_cell = int(((cells.points - cells.root_point) ** 2).sum(axis=1).argmin())
        values, start = diffusion_pseudotime(cells.points, root=nearest_cell)
    elif root in cells.obs.index:
        values, start = diffusion_pseudotime(cells.points, root=list(cells.obs.index).index(root))
    else:
        if cluster_key is None:
            raise KeyError(
                f"root: no cell is named {root!r}; to start from a cluster, name its column of obs "
                f"as cluster_key; obs has: {', '.join(map(str, cells.obs.columns)) or 'none'}"
            )
        labels = obs_labels(cells.obs, cluster_key, "cluster_key")
        if root not in labels:
            raise KeyError(
                f"root: {root!r} is neither a cell nor a cluster of obs[{cluster_key!r}], which "
                f"holds: {', '.join(np.unique(labels))}"
            )
        values, start = diffusion_pseudotime(cells.points, root_cells=labels == root)
    return values, [f"diffusion pseudotime starts at cell {cells.obs.index[start]}"]
