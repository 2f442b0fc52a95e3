"""Degrees of cells, hubs, and cells without successors before the end of the trajectory."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.edge_blocks import groups_in_time


@dataclass(frozen=True, kw_only=True)
class Degrees:
    """Successors of a cell (out), or cells that it follows (in)."""

    mean: float
    quartiles: tuple[float, float, float]
    maximum: int
    num_zero: int
    """Cells without any."""


def degrees(count: Int[ndarray, " cell"]) -> Degrees:
    """Summarise the degree of every cell."""
    low, middle, high = np.quantile(count, (0.25, 0.5, 0.75))
    return Degrees(
        mean=float(count.mean()),
        quartiles=(float(low), float(middle), float(high)),
        maximum=int(count.max()),
        num_zero=int((count == 0).sum()),
    )


@dataclass(frozen=True, kw_only=True)
class Hubs:
    """Whether a few cells are the successors of most others."""

    num_holders: int
    """The fewest cells in which half of all edges end."""
    by_chance: int
    """The same if every edge ended in a random cell of those that can be successors."""


def hubs(
    graph: NeighborGraph, time: Float[ndarray, " cell"] | None, rng: np.random.Generator
) -> Hubs:
    """Compare the concentration of edges with chance.

    Where time comes in points, the cells of the first one are not expected to be successors.
    """
    can_follow = np.ones(graph.num_cells, dtype=bool)
    if time is not None:
        groups, are_points = groups_in_time(time)
        can_follow = (groups != 0) if are_points else can_follow
    number = max(int(can_follow.sum()), 1)
    return Hubs(
        num_holders=_holders_of_half(graph.in_degree),
        by_chance=_holders_of_half(rng.poisson(graph.num_edges / number, number)),
    )


def _holders_of_half(count: Int[ndarray, " cell"]) -> int:
    largest_first = np.cumsum(np.sort(count)[::-1])
    total = int(count.sum())
    return int(np.searchsorted(largest_first, total / 2)) + 1 if total else 0


@dataclass(frozen=True, kw_only=True)
class DeadEnds:
    """Cells that should have successors and have none."""

    where: str
    """Which cells should have some; empty for all."""
    num_cells: int
    """How many these are."""
    num_without: int
    """How many of them have none."""


def dead_ends(graph: NeighborGraph, time: Float[ndarray, " cell"] | None) -> DeadEnds:
    """Cells without successors where the trajectory cannot have ended.

    These are the cells before the last time point; where time is continuous, those of its first
    half, because branches may end at different times; without a time, all cells.
    """
    if time is None or not np.isfinite(time).any():
        due, where = np.ones(graph.num_cells, dtype=bool), ""
    else:
        groups, are_points = groups_in_time(time)
        limit = groups.max() if are_points else (groups.max() + 1) / 2
        due = (groups >= 0) & (groups < limit)
        where = "before the last time point" if are_points else "in the first half of the time"
    without = due & (graph.out_degree == 0)
    return DeadEnds(where=where, num_cells=int(due.sum()), num_without=int(without.sum()))
