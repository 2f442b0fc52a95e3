"""Successors along branches: a step ahead, and never into a cluster that is not connected.

PAGA (Wolf et al., 2019, Genome Biology) finds which clusters are connected. Pseudotime alone cannot
tell branches apart: late cells of one are as far ahead as late cells of the other.
"""

import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Built, Cells
from bionemo.geneformer_t.neighbors.cellrank_kernels import (
    cytotrace_kernel,
    forward_steps,
    pseudotime_kernel,
    realtime_kernel,
)
from bionemo.geneformer_t.neighbors.forward_window import forward_neighbors
from bionemo.geneformer_t.neighbors.paga import connected_clusters
from bionemo.geneformer_t.neighbors.pseudotime_neighbors import pseudotime_of
from bionemo.geneformer_t.neighbors.time_labels import times_of
from bionemo.geneformer_t.obs_columns import obs_labels


def trajectory_neighbors(cells: Cells, settings: BuilderSettings) -> Built:
    """Link every cell to cells ahead in its cluster or a connected one.

    With `trajectory_method` paga, to the most similar cells a step ahead in pseudotime; with one of
    CellRank's kernels, to its most probable transitions that lead ahead in the kernel's order.

    Returns:
        The graph, and notes on what is not connected or has no successor.

    Raises:
        KeyError: A setting names a column or a cell that is not there.
        ValueError: A setting is missing or out of range, or no two cells differ in pseudotime.
        ImportError: A package that a kernel needs is not installed.
    """
    points, number = cells.points, settings.num_neighbors
    clusters = obs_labels(cells.obs, settings.cluster_key, "cluster_key")
    if settings.trajectory_method == "paga":
        values, notes = pseudotime_of(cells, settings)
        found = connected_clusters(points, clusters, settings.min_connectivity)
        graph, more = forward_neighbors(
            points, values, step=settings.step, num_neighbors=number, group=found.cluster,
            may_follow=found.connected,
        )  # fmt: skip
    else:
        transitions, order, notes = _transitions(cells, settings)
        found = connected_clusters(points, clusters, settings.min_connectivity)
        graph, more = forward_steps(transitions, order, found.cluster, found.connected, number)
    return graph, [*notes, found.note, *more]


def _transitions(
    cells: Cells, settings: BuilderSettings
) -> tuple[sp.csr_array, Float[ndarray, " cell"], list[str]]:
    """Transitions of one of CellRank's kernels, the order of its cells, and notes."""
    match settings.trajectory_method:
        case "pseudotime_kernel":
            order, notes = pseudotime_of(cells, settings)
            return pseudotime_kernel(cells.points, order), order, notes
        case "cytotrace_kernel":
            return *cytotrace_kernel(cells.points, cells.expression), []
        case "realtime_kernel":
            order = times_of(cells.obs, settings)
            transitions, notes = realtime_kernel(cells.points, order)
            return transitions, order, notes
        case _:
            raise ValueError(
                "trajectory_method must be paga, pseudotime_kernel, cytotrace_kernel or "
                f"realtime_kernel; got {settings.trajectory_method!r}"
            )
