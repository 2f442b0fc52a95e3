"""Successors in real time: cells of the next time point, by one of two methods.

`ot` couples consecutive time points by optimal transport (moscot's `TemporalProblem`, extra `ot`)
and takes the cells that receive most of a cell's mass. `mutual` takes mutual nearest neighbors and
needs no further package. `auto` takes `ot` where moscot is installed and the time points are small
enough to be coupled in minutes.
"""

from itertools import pairwise

import numpy as np
from numpy import ndarray

from bionemo.geneformer_t.neighbors import optional_packages
from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Built, Cells
from bionemo.geneformer_t.neighbors.mutual_nearest import mutual_neighbors
from bionemo.geneformer_t.neighbors.nearest import check_num_neighbors, closeness
from bionemo.geneformer_t.neighbors.successor_lists import graph_of_edges
from bionemo.geneformer_t.neighbors.time_labels import times_of
from bionemo.geneformer_t.neighbors.transport import couplings

AUTO_PAIRS = 100_000_000
"""`auto` couples time points of up to so many pairs of cells: 10,000 cells with 10,000."""


def time_neighbors(cells: Cells, settings: BuilderSettings) -> Built:
    """Link every cell to cells of the next time point.

    The next time point is the next one that these cells hold, so a split that lacks one still
    links the times around it. Cells of the last time point have no successors, and cells without a
    time no edges.

    Returns:
        The graph, and notes: the method, and what was left out or did not converge.

    Raises:
        KeyError: There is no such column.
        ValueError: No column is named, there are fewer than two time points, no such method, or
            `num_neighbors` is not positive.
        ImportError: `ot` is given and moscot is not installed.
    """
    times, method = times_of(cells.obs, settings), str(settings.time_method)
    check_num_neighbors(settings.num_neighbors)
    if method not in ("auto", *_METHODS):
        raise ValueError(f"time_method must be auto, {', '.join(_METHODS)}; got {method!r}")
    missing = int((~np.isfinite(times)).sum())
    notes = [f"{missing} of {len(times)} cells have no time and no edges"] * bool(missing)
    points, sizes = np.unique(times[np.isfinite(times)], return_counts=True)
    if len(points) < 2:
        raise ValueError(
            "successors in time need at least two time points; all cells have "
            f"{', '.join(f'{point:g}' for point in points) or 'no time'}"
        )
    method, why = (method, "") if method != "auto" else _choose(sizes.tolist())
    graph, more = _METHODS[method](cells.points, times, settings.num_neighbors)
    return graph, [f"time method: {method}{why}", *notes, *more]


def _choose(sizes: list[int]) -> tuple[str, str]:
    """The method that `auto` takes, and why."""
    if not optional_packages.is_installed("moscot"):
        return "mutual", f" (for optimal transport: {optional_packages.install_command('moscot')})"
    if max(now * later for now, later in pairwise(sizes)) > AUTO_PAIRS:
        return "mutual", " (these time points are too large to be coupled in minutes)"
    return "ot", f" (moscot {optional_packages.version('moscot')})"


def _by_transport(points: ndarray, times: ndarray, num_neighbors: int) -> Built:
    """The cells that receive most of a cell's mass; weights are fractions of what those receive."""
    masses, notes = couplings(points, times, num_neighbors)
    totals = np.asarray(masses.sum(axis=1)).ravel()
    rows = np.repeat(np.arange(len(times)), np.diff(masses.indptr))
    empty = int(((totals == 0) & (times < np.nanmax(times))).sum())
    if empty:
        notes = [*notes, f"{empty} cells send no mass to the next time point and have no successor"]
    weights = masses.data / np.where(totals == 0, 1, totals)[rows]
    return graph_of_edges(rows, masses.indices, weights, len(times)), notes


def _by_mutual(points: ndarray, times: ndarray, num_neighbors: int) -> Built:
    """The nearest mutual neighbors; weights fall with distance."""
    rows, columns, weights, lonely = [], [], [], 0
    for now, later in pairwise(np.unique(times[np.isfinite(times)])):
        current, following = np.flatnonzero(times == now), np.flatnonzero(times == later)
        found, distances, alone = mutual_neighbors(
            points[current], points[following], num_neighbors
        )
        lonely += int(alone.sum())
        is_edge = np.isfinite(distances)
        rows.append(current[np.nonzero(is_edge)[0]])
        columns.append(following[found[is_edge]])
        weights.append(closeness(distances)[is_edge])
    graph = graph_of_edges(
        np.concatenate(rows), np.concatenate(columns), np.concatenate(weights), len(times)
    )
    note = (
        f"{lonely} cells have no mutual neighbor at the next time point; their successors are "
        "their nearest cells"
    )
    return graph, [note] * bool(lonely)


_METHODS = {"ot": _by_transport, "mutual": _by_mutual}
