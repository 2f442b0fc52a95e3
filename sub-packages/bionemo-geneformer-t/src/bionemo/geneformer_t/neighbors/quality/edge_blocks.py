"""The edges of a graph in blocks, so that measures need little more memory than the graph itself.

The unit of most measures is a *step*: a current cell and one of its successors, drawn by weight, as
training draws them. Every cell with successors takes one, however many successors it has.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.ragged import places_within

_MOST_POINTS = 50
_GROUPS = 20
BLOCK = 1 << 20
"""Edges in a block, about."""


@dataclass(frozen=True, kw_only=True)
class EdgeBlock:
    """Edges of consecutive current cells."""

    current: Int[ndarray, " edge"]
    successor: Int[ndarray, " edge"]
    probability: Float[ndarray, " edge"]
    """Of a step from the current cell to the successor; sums to 1 for each cell."""


def edge_blocks(graph: NeighborGraph, size: int = BLOCK) -> Iterator[EdgeBlock]:
    """All edges, about `size` at a time; those of one cell are in one block."""
    first = 0
    while first < graph.num_cells:
        limit = graph.indptr[first] + size
        last = max(int(np.searchsorted(graph.indptr, limit, side="right")) - 1, first + 1)
        yield edges_of(graph, np.arange(first, last))
        first = last


def edges_of(graph: NeighborGraph, cells: Int[ndarray, " cell"]) -> EdgeBlock:
    """The edges that leave the given cells, cell by cell."""
    edges, place = edge_places(graph, cells)
    weights = graph.weights[edges]
    totals = np.bincount(place, weights=weights, minlength=len(cells))
    return EdgeBlock(
        current=cells[place], successor=graph.indices[edges], probability=weights / totals[place]
    )


def edge_places(
    graph: NeighborGraph, cells: Int[ndarray, " cell"]
) -> tuple[Int[ndarray, " edge"], Int[ndarray, " edge"]]:
    """Indices of the edges that leave the given cells, and which of the cells each one leaves."""
    starts = graph.indptr[cells]
    degrees = graph.indptr[cells + 1] - starts
    edges = places_within(degrees) + np.repeat(starts, degrees)
    return edges, np.repeat(np.arange(len(cells)), degrees)


def groups_in_time(time: Shaped[ndarray, " cell"]) -> tuple[Int[ndarray, " cell"], bool]:
    """A number for the time point of each cell, and whether the times are such points.

    Times that nearly all differ (pseudotime) are cut into twenty groups of equal size.

    Returns:
        The groups, from early to late and -1 where a cell has no time, and whether they are the
        time points themselves.
    """
    known = np.isfinite(time)
    points, codes = np.unique(time[known], return_inverse=True)
    are_points = len(points) <= min(_MOST_POINTS, known.sum() / 2)
    if not are_points:
        limits = np.quantile(time[known], np.linspace(0, 1, _GROUPS + 1)[1:-1])
        codes = np.searchsorted(limits, time[known], side="right")
    groups = np.full(len(time), -1, dtype=np.int64)
    groups[known] = codes
    return groups, bool(are_points)


def fractions_by_group(
    groups: Int[ndarray, " cell"], labels: Int[ndarray, " cell"], num_labels: int
) -> Float[ndarray, "group label"]:
    """Of the cells of each group, the fraction with each label.

    Args:
        groups: Time groups as `groups_in_time` numbers them; cells without a time (-1) are the last
            row.
        labels: Batch or cluster of each cell; cells without one (-1) are left out.
        num_labels: Labels that there may be.
    """
    table = np.zeros((groups.max(initial=0) + 2, num_labels))
    known = labels >= 0
    np.add.at(table, (groups[known], labels[known]), 1)
    return table / np.maximum(table.sum(axis=1, keepdims=True), 1)
