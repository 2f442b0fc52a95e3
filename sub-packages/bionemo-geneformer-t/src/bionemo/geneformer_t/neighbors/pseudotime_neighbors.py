"""Successors in pseudotime: the most similar cells a short step ahead."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Built, Cells
from bionemo.geneformer_t.neighbors.diffusion import diffusion_pseudotime
from bionemo.geneformer_t.neighbors.forward_window import forward_neighbors
from bionemo.geneformer_t.obs_columns import obs_column, obs_labels

DIFFUSION_PSEUDOTIME = "dpt_pseudotime"
"""Column of obs that keeps a pseudotime computed from a root; scanpy's name."""
FROM_A_ROOT = {"pseudotime", "trajectory"}
"""Methods that may start from a root."""


def pseudotime_neighbors(cells: Cells, settings: BuilderSettings) -> Built:
    """Link every cell to the most similar of the cells half a step to one and a half steps ahead.

    The rule of this package's simulator, on measured similarity; pseudotime may come from any
    method, and only its order counts. Cells without a finite pseudotime get no edges.

    Returns:
        The graph, and notes on cells and edges that were left out.

    Raises:
        KeyError: No such column, or the root is neither a cell nor a cluster.
        ValueError: `step` or `num_neighbors` is out of range, no two cells differ in pseudotime, or
            not one of `pseudotime_key` and `root` is given.
    """
    values, notes = pseudotime_of(cells, settings)
    graph, more = forward_neighbors(
        cells.points, values, step=settings.step, num_neighbors=settings.num_neighbors
    )
    return graph, [*notes, *more]


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
    cells: Cells, settings: BuilderSettings
) -> tuple[Float[ndarray, " cell"], list[str]]:
    """The pseudotime of obs, or diffusion pseudotime from a root cell or a root cluster.

    Returns:
        The pseudotime, and notes on how it was computed.

    Raises:
        KeyError: No such column, or the root is neither a cell nor a cluster.
        ValueError: Not one of `pseudotime_key` and `root` is given, or values are no numbers.
    """
    key, root = settings.pseudotime_key, settings.root
    if (key is None) == (root is None) and cells.root_point is None:
        raise ValueError(
            "pseudotime comes either from a column of obs (pseudotime_key) or from diffusion from "
            "a root cell or cluster (root); "
            + ("both are given" if root is not None else "neither is given")
        )
    if key is not None:
        return pseudotime_values(obs_column(cells.obs, key, "pseudotime_key")), []
    if cells.root_point is not None:
        nearest_cell = int(((cells.points - cells.root_point) ** 2).sum(axis=1).argmin())
        values, start = diffusion_pseudotime(cells.points, root=nearest_cell)
    elif root in cells.obs.index:
        values, start = diffusion_pseudotime(cells.points, root=list(cells.obs.index).index(root))
    else:
        if settings.cluster_key is None:
            raise KeyError(
                f"root: no cell is named {root!r}; to start from a cluster, name its column of obs "
                f"as cluster_key; obs has: {', '.join(map(str, cells.obs.columns)) or 'none'}"
            )
        labels = obs_labels(cells.obs, settings.cluster_key, "cluster_key")
        if root not in labels:
            raise KeyError(
                f"root: {root!r} is neither a cell nor a cluster of obs[{settings.cluster_key!r}], "
                f"which holds: {', '.join(np.unique(labels))}"
            )
        values, start = diffusion_pseudotime(cells.points, root_cells=labels == root)
    return values, [f"diffusion pseudotime starts at cell {cells.obs.index[start]}"]
