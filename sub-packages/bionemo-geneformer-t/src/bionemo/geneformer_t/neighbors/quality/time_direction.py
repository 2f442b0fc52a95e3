"""Direction of a graph: symmetry, agreement with time, and what can be reached from the root."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.edge_blocks import (
    edge_blocks,
    edge_places,
    groups_in_time,
)


@dataclass(frozen=True, kw_only=True)
class TimeDirection:
    """Steps and edges against time; a step is a successor drawn by its weight."""

    forward: float
    """Fraction of the steps between cells with a time that go to a later one."""
    level: float
    """Fraction that stay at the same time."""
    backward: float
    """Fraction that go to an earlier one."""
    mean_step: float
    """Mean difference in time, in the units of the time."""
    num_backward_edges: int
    num_level_edges: int
    num_edges_without_time: int
    """Edges of which an end has no time; they count nowhere else here."""


def time_direction(graph: NeighborGraph, time: Float[ndarray, " cell"]) -> TimeDirection | None:
    """Compare the times of both ends of every edge; None where no edge has two times."""
    fractions, counts = np.zeros(3), np.zeros(3, dtype=np.int64)
    total_step, untimed = 0.0, 0
    for block in edge_blocks(graph):
        step = time[block.successor] - time[block.current]
        known = np.isfinite(step)
        untimed += int((~known).sum())
        sign = np.sign(step[known]).astype(np.int64) + 1
        fractions += np.bincount(sign, weights=block.probability[known], minlength=3)
        counts += np.bincount(sign, minlength=3)
        total_step += float((step[known] * block.probability[known]).sum())
    if not counts.any():
        return None
    backward, level, forward = (float(f) for f in fractions / fractions.sum())
    return TimeDirection(
        forward=forward,
        level=level,
        backward=backward,
        mean_step=total_step / float(fractions.sum()),
        num_backward_edges=int(counts[0]),
        num_level_edges=int(counts[1]),
        num_edges_without_time=untimed,
    )


@dataclass(frozen=True, kw_only=True)
class Reciprocity:
    """How much of the graph goes both ways."""

    edges: float
    """Fraction of the edges whose reverse exists."""
    steps: float
    """Fraction of the steps that are balanced by reverse steps: the sum of min(p_ij, p_ji) over the
    sum of p_ij, for probabilities p of a step. 1 for a symmetric graph; a graph that goes both ways
    with unequal weights, such as a velocity graph, has less than the fraction of its edges."""


def reciprocity(graph: NeighborGraph) -> Reciprocity | None:
    """Look for the reverse of every edge; None where there is no edge."""
    if not graph.num_edges:
        return None
    matrix = graph.to_matrix()
    totals = np.asarray(matrix.sum(axis=1)).ravel()
    num_both, returned = 0, 0.0
    for block in edge_blocks(graph):
        back = np.asarray(matrix[block.successor, block.current]).ravel()
        both = back > 0
        num_both += int(both.sum())
        back_probability = back[both] / totals[block.successor[both]]
        returned += float(np.minimum(block.probability[both], back_probability).sum())
    return Reciprocity(
        edges=num_both / graph.num_edges, steps=returned / np.count_nonzero(graph.out_degree)
    )


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The cells that can be reached from the root along edges."""

    origin: str
    """What the root is."""
    num_roots: int
    num_reached: int
    """Cells that can be reached, the root itself included."""
    share: float
    """The same as a fraction of all cells."""


def reach(graph: NeighborGraph, roots: Bool[ndarray, " cell"], origin: str) -> Reach:
    """Follow edges from the root cells, all at once, until no new cell appears."""
    reached, frontier = roots.copy(), np.flatnonzero(roots)
    while len(frontier):
        following = graph.indices[edge_places(graph, frontier)[0]]
        frontier = np.unique(following[~reached[following]])
        reached[frontier] = True
    return Reach(
        origin=origin,
        num_roots=int(roots.sum()),
        num_reached=int(reached.sum()),
        share=float(reached.mean()),
    )


def earliest_cells(time: Float[ndarray, " cell"]) -> tuple[Bool[ndarray, " cell"], str]:
    """The default root: the first time point, or the first twentieth of the cells in time."""
    groups, are_points = groups_in_time(time)
    return groups == 0, "the first time point" if are_points else "the earliest twentieth"
