"""Quality of a graph of successors, before a model is trained on it.

Training takes every edge as true. `graph_quality` measures whether edges go forward in time, join
similar cells, keep to connected clusters, cross batches, and lead from the root to all cells.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.neighbors.quality.composition import (
    BatchCrossing,
    ClusterFlow,
    batch_crossing,
    cluster_flow,
)
from bionemo.geneformer_t.neighbors.quality.degrees import (
    DeadEnds,
    Degrees,
    Hubs,
    dead_ends,
    degrees,
    hubs,
)
from bionemo.geneformer_t.neighbors.quality.distances import Distances, distances
from bionemo.geneformer_t.neighbors.quality.leakage import Leakage, leakage
from bionemo.geneformer_t.neighbors.quality.time_direction import (
    Reach,
    Reciprocity,
    TimeDirection,
    earliest_cells,
    reach,
    reciprocity,
    time_direction,
)


@dataclass(frozen=True, kw_only=True)
class GraphQuality:
    """Measures of one graph; None where the facts for a measure were not given."""

    num_cells: int
    num_edges: int
    out_degree: Degrees
    """Successors of a cell."""
    in_degree: Degrees
    """Cells that a cell follows."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Edges that were left out when the graph was read or built, by reason."""
    dead_ends: DeadEnds
    hubs: Hubs
    reciprocity: Reciprocity | None
    direction: TimeDirection | None = None
    distances: Distances | None = None
    reach: Reach | None = None
    batches: BatchCrossing | None = None
    clusters: ClusterFlow | None = None
    leakage: Leakage | None = None


def graph_quality(
    graph: NeighborGraph,
    facts: CellFacts,
    rng: np.random.Generator,
    dropped: Mapping[str, int] | None = None,
) -> GraphQuality:
    """Measure a graph.

    Edges are read in blocks, and distances on a sample: apart from the graph, memory grows with the
    cells alone.

    Args:
        graph: Successors.
        facts: What is known about its cells.
        rng: Draws the sample of edges and the random pairs that they are compared with.
        dropped: What was left out of the graph and why.

    Raises:
        ValueError: A fact is not about the cells of this graph, there is no cell, or the
            representation holds values that are not finite.
    """
    _check(graph, facts)
    time, roots = facts.time, facts.roots
    origin = "given"
    if roots is None and time is not None and np.isfinite(time).any():
        roots, origin = earliest_cells(time)
    return GraphQuality(
        num_cells=graph.num_cells,
        num_edges=graph.num_edges,
        out_degree=degrees(graph.out_degree),
        in_degree=degrees(graph.in_degree),
        dropped=dict(dropped or {}),
        dead_ends=dead_ends(graph, time),
        hubs=hubs(graph, time, rng),
        reciprocity=reciprocity(graph),
        direction=None if time is None else time_direction(graph, time),
        distances=None
        if facts.representation is None
        else distances(graph, facts.representation, time, facts.cluster, rng),
        reach=None if roots is None else reach(graph, roots, origin),
        batches=None if facts.batch is None else batch_crossing(graph, facts.batch, time),
        clusters=None if facts.cluster is None else cluster_flow(graph, facts.cluster),
        leakage=None
        if facts.cluster is None or facts.representation is None
        else leakage(graph, facts.representation, facts.cluster, time, rng),
    )


def _check(graph: NeighborGraph, facts: CellFacts) -> None:
    if graph.num_cells == 0:
        raise ValueError("a graph without cells has no quality to report")
    for name in ("representation", "time", "batch", "cluster", "roots"):
        fact = getattr(facts, name)
        if fact is not None and len(fact) != graph.num_cells:
            raise ValueError(
                f"{name} must have one entry for each of the {graph.num_cells:,} cells of the "
                f"graph; got {len(fact):,}"
            )
    points = facts.representation
    if points is not None and not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(axis=1).sum())
        raise ValueError(f"representation: {bad:,} cells have coordinates that are not finite")
