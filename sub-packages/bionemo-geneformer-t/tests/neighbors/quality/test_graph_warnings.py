"""Every wrong graph is told by its own sentence, and a right one by none."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.nearest import nearest
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.neighbors.quality.graph_warnings import graph_warnings
from bionemo.geneformer_t.neighbors.quality.quality import graph_quality


def sentences(graph: NeighborGraph, facts: CellFacts, **dropped: int) -> Sequence[str]:
    quality = graph_quality(graph, facts, np.random.default_rng(0), dropped)
    return [warning.sentence for warning in graph_warnings(quality)]


def of_matrix(matrix: sp.spmatrix) -> NeighborGraph:
    return NeighborGraph.from_matrix(matrix)[0]


def says(found: Sequence[str], words: str) -> bool:
    return any(words in sentence for sentence in found)


def test_the_true_graph_of_a_simulation_has_no_warning(simulation, simulated_facts) -> None:
    batch = pd.Categorical(np.where(np.arange(400) % 2, "odd", "even"))
    assert sentences(simulation.successors, replace(simulated_facts, batch=batch)) == []


def test_a_random_graph_is_no_closer_than_a_random_cell(random_graph, simulated_facts) -> None:
    found = sentences(random_graph, simulated_facts)
    assert says(found, "no closer in expression than a random cell")
    assert says(found, "go back in time")


def test_a_branch_without_successors_of_its_kind_is_told(simulation, simulated_facts) -> None:
    names = simulation.programmes.tree.names
    branch, time = simulation.branch, simulation.pseudotime
    # the end of branch B, which has no successors, is sent to A1
    ends = np.flatnonzero((branch == names.index("B")) & (time > 1.7))
    later = np.flatnonzero(branch == names.index("A1"))
    matrix = simulation.successors.to_matrix().tolil()
    matrix[ends] = 0
    matrix[ends, later[: len(ends)]] = 1
    found = sentences(of_matrix(matrix.tocsr()), simulated_facts)
    assert says(found, "of those from B) lead at least as far as half of all cells are")
    assert says(found, "of those from B to A1 (")


def test_nearest_neighbors_have_no_direction(simulated_facts) -> None:
    points = simulated_facts.representation
    near = nearest(points, points, 11)[0][:, 1:]
    rows = np.repeat(np.arange(len(points)), 10)
    matrix = sp.csr_matrix((np.ones(len(rows)), (rows, near.ravel())))
    directed = sentences(of_matrix(matrix), simulated_facts)
    assert says(directed, "run both ways, so that much of the graph carries no direction")
    assert not says(directed, "no closer")
    assert says(sentences(of_matrix(matrix.maximum(matrix.T)), simulated_facts), "is symmetric")


def test_a_reversed_graph_is_told(simulation, simulated_facts) -> None:
    backward = of_matrix(simulation.successors.to_matrix().T)
    found = sentences(backward, simulated_facts)
    assert says(found, "100% of the steps go back in time, 0% forward")
    assert says(found, "It may be reversed")


def test_steps_within_a_time_point_are_told(chain) -> None:
    assert says(sentences(chain, CellFacts(time=np.repeat([0.0, 1.0], 5))), "stay at the same time")


def test_missing_successors_before_the_end_are_counted(graph_of) -> None:
    edges = [(i, i + 10) for i in range(6)]
    found = sentences(graph_of(edges, 20), CellFacts(time=np.repeat([0.0, 1.0], 10)))
    assert says(found, "4 of the 10 cells before the last time point have no successors (40%)")


def test_a_root_that_leads_nowhere_is_told(simulation) -> None:
    roots = simulation.pseudotime > np.quantile(simulation.pseudotime, 0.9)
    found = sentences(simulation.successors, CellFacts(roots=roots))
    assert says(found, "of the cells can be reached from the root (given, 40 cells)")


def test_hubs_are_told(graph_of) -> None:
    edges = [(i, 190 + i % 3) for i in range(150)]
    assert says(sentences(graph_of(edges, 200), CellFacts()), "Half of all edges end in 2 cells")


def test_batches_that_keep_to_themselves_are_told(graph_of) -> None:
    graph = graph_of([(i, (i + 2) % 40) for i in range(40)], 40)
    batch = pd.Categorical(["even", "odd"] * 20)
    assert says(sentences(graph, CellFacts(batch=batch)), "Only 0% of the steps cross batches")


def test_batches_that_are_time_points_are_told(graph_of) -> None:
    graph = graph_of([(i, i + 10) for i in range(10)], 20)
    facts = CellFacts(batch=pd.Categorical(["a"] * 10 + ["b"] * 10), time=np.repeat([0.0, 1.0], 10))
    assert says(sentences(graph, facts), "no batch holds both times")


def test_many_dropped_edges_are_told_with_their_reasons(chain) -> None:
    found = sentences(chain, CellFacts(), crossing_split=4, duplicate=0)
    assert says(found, "4 of 13 edges were left out: 4 crossing_split")


def test_no_edges_at_all(graph_of) -> None:
    assert says(sentences(graph_of([], 3), CellFacts()), "no edges")


def test_time_points_of_like_cells_are_not_told_and_random_successors_are(graph_of) -> None:
    # each day has two kinds far apart, and cells of a kind differ by noise alone
    generator = np.random.default_rng(0)
    time, kind = np.repeat(np.arange(4.0), 60), np.arange(240) % 2
    points = np.column_stack([20 * time, 20 * kind, *generator.normal(size=(5, 240))])
    facts = CellFacts(representation=points, time=time)
    right = [(i, 60 * (int(time[i]) + 1) + (i + 2 * k) % 60) for i in range(180) for k in range(3)]
    assert sentences(graph_of(right, 240), facts) == []
    wrong = [(i, other + (k == 0)) for k, (i, other) in enumerate(right) if other < 239]
    anywhere = [(i, other - other % 60 + generator.integers(60)) for i, other in wrong]
    found = sentences(graph_of([*dict.fromkeys(anywhere)], 240), facts)
    assert says(found, "no closer in expression than a random cell of the same time point")
