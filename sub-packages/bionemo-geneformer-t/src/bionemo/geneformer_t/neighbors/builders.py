"""One table of all builders: from cells and settings to a graph and what is to be said about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from jaxtyping import Float, Shaped
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.builder_input import Cells
from bionemo.geneformer_t.neighbors.cellrank_kernels import (
    cytotrace_kernel,
    forward_steps,
    pseudotime_kernel,
    realtime_kernel,
)
from bionemo.geneformer_t.neighbors.knn_neighbors import knn_neighbors
from bionemo.geneformer_t.neighbors.precomputed import precomputed_neighbors
from bionemo.geneformer_t.neighbors.pseudotime_neighbors import (
    pseudotime_neighbors,
    pseudotime_of,
)
from bionemo.geneformer_t.neighbors.time_labels import time_values
from bionemo.geneformer_t.neighbors.time_neighbors import TimeMethod, time_neighbors
from bionemo.geneformer_t.neighbors.trajectory_neighbors import (
    connected_clusters,
    connection_note,
    trajectory_neighbors,
)
from bionemo.geneformer_t.obs_columns import obs_column, obs_labels
from bionemo.geneformer_t.setting_values import Settings


@dataclass(frozen=True, kw_only=True)
class BuilderSettings(Settings):
    """How successors are found. Every builder reads the settings that concern it."""

    num_neighbors: int = 5
    """Successors of each cell, at most."""
    time_key: str | None = None
    """time: column of obs with the time of each cell, such as D6, E7.75, 16 weeks, or a number."""
    time_order: tuple[str, ...] | None = None
    """time: the labels from early to late, if they are not numbers and the column is not an ordered
    categorical."""
    time_method: TimeMethod = "auto"
    """time: `ot` couples time points by optimal transport (moscot), `mutual` uses mutual nearest
    neighbors, `auto` uses `ot` if moscot is installed."""
    pseudotime_key: str | None = None
    """pseudotime, trajectory: column of obs with the pseudotime of each cell."""
    root: str | None = None
    """pseudotime, trajectory: the cell, or cluster of cluster_key, where diffusion pseudotime
    starts."""
    cluster_key: str | None = None
    """pseudotime (for a root cluster), trajectory: column of obs with the cluster of each cell."""
    step: float = 0.1
    """pseudotime, trajectory: the distance to successors, as a fraction of the cells."""
    trajectory_method: Literal[
        "paga", "pseudotime_kernel", "cytotrace_kernel", "realtime_kernel"
    ] = "paga"
    """trajectory: PAGA-constrained steps, or one of CellRank's kernels."""
    min_connectivity: float = 0.05
    """trajectory: the PAGA connectivity above which two clusters count as connected."""
    obsp_key: str | None = None
    """precomputed: the matrix in obsp, or scVelo's velocity_graph in uns."""
    transposed: bool = False
    """precomputed: the current cells are columns, not rows."""


Built: TypeAlias = tuple[NeighborGraph, list[str]]
"""A graph, and sentences about what was chosen, counted or left out."""


@dataclass(frozen=True, kw_only=True)
class Builder:
    """A way to find successors."""

    build: Callable[[Cells, BuilderSettings], Built]
    key: str
    """Under which name its graph is stored unless another is given."""


def build(method: str, cells: Cells, settings: BuilderSettings) -> Built:
    """The graph of one method, and notes on what was chosen, counted or left out.

    Args:
        method: A key of `BUILDERS`.
        cells: The cells of one split.
        settings: What the builder is to do.

    Raises:
        ValueError: No such method, or a setting does not fit the cells.
        KeyError: A setting names a column, a cell or a matrix that is not there.
        ImportError: A package that the method needs is not installed.
    """
    return builder(method).build(cells, settings)


def builder(method: str) -> Builder:
    """The entry of `BUILDERS`.

    Raises:
        ValueError: No such method.
    """
    if method not in BUILDERS:
        raise ValueError(f"method must be one of {', '.join(BUILDERS)}; got {method!r}")
    return BUILDERS[method]


def _knn(cells: Cells, settings: BuilderSettings) -> Built:
    return knn_neighbors(cells.points, settings.num_neighbors), []


def _time(cells: Cells, settings: BuilderSettings) -> Built:
    times = _times(cells, settings)
    return time_neighbors(cells.points, times, settings.num_neighbors, settings.time_method)


def _pseudotime(cells: Cells, settings: BuilderSettings) -> Built:
    values, notes = _ordered(cells, settings)
    graph, more = pseudotime_neighbors(
        cells.points, values, step=settings.step, num_neighbors=settings.num_neighbors
    )
    return graph, [*notes, *more]


def _trajectory(cells: Cells, settings: BuilderSettings) -> Built:
    clusters = obs_labels(cells.obs, settings.cluster_key, "cluster_key")
    if settings.trajectory_method != "paga":
        return _by_kernel(cells, clusters, settings)
    values, notes = _ordered(cells, settings)
    graph, more = trajectory_neighbors(
        cells.points,
        clusters,
        values,
        step=settings.step,
        num_neighbors=settings.num_neighbors,
        min_connectivity=settings.min_connectivity,
    )
    return graph, [*notes, *more]


def _by_kernel(
    cells: Cells, clusters: Shaped[ndarray, " cell"], settings: BuilderSettings
) -> Built:
    """CellRank's transitions that lead ahead in the kernel's order, along PAGA's connections."""
    notes: list[str] = []
    match settings.trajectory_method:
        case "pseudotime_kernel":
            order, notes = _ordered(cells, settings)
            transitions = pseudotime_kernel(cells.points, order)
        case "cytotrace_kernel":
            transitions, order = cytotrace_kernel(cells.points, cells.expression)
        case "realtime_kernel":
            order = _times(cells, settings)
            transitions, notes = realtime_kernel(cells.points, order)
        case _:
            raise ValueError(
                "trajectory_method must be paga, pseudotime_kernel, cytotrace_kernel or "
                f"realtime_kernel; got {settings.trajectory_method!r}"
            )
    names, cluster, connected = connected_clusters(
        cells.points, clusters, settings.min_connectivity
    )
    graph, more = forward_steps(transitions, order, cluster, connected, settings.num_neighbors)
    return graph, [*notes, connection_note(names, connected), *more]


def _precomputed(cells: Cells, settings: BuilderSettings) -> Built:
    held = ", ".join(cells.obsp) or "none"
    if settings.obsp_key is None:
        raise ValueError(f"obsp_key must name a matrix of obsp; it has: {held}")
    if settings.obsp_key not in cells.obsp:
        raise KeyError(f"obsp_key: obsp has no matrix {settings.obsp_key!r}; it has: {held}")
    return precomputed_neighbors(
        cells.obsp[settings.obsp_key],
        num_neighbors=settings.num_neighbors,
        transposed=settings.transposed,
    )


def _times(cells: Cells, settings: BuilderSettings) -> Float[ndarray, " cell"]:
    column = obs_column(cells.obs, settings.time_key, "time_key")
    return time_values(column, settings.time_order)


def _ordered(
    cells: Cells, settings: BuilderSettings
) -> "tuple[Float[ndarray, ' cell'], list[str]]":
    return pseudotime_of(
        cells,
        pseudotime_key=settings.pseudotime_key,
        root=settings.root,
        cluster_key=settings.cluster_key,
    )


BUILDERS: dict[str, Builder] = {
    "knn": Builder(build=_knn, key="knn_neighbors"),
    "time": Builder(build=_time, key="next_cell_ids"),
    "pseudotime": Builder(build=_pseudotime, key="pseudotime_neighbors"),
    "trajectory": Builder(build=_trajectory, key="trajectory_neighbors"),
    "precomputed": Builder(build=_precomputed, key="precomputed_neighbors"),
}
"""What `--method` and `gft.pp.next_cells(method=...)` name."""
