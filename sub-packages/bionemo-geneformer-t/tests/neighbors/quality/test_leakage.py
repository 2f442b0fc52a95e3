"""Leaks between clusters have the fraction that was planted, and a right graph has none."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality import leakage as module
from bionemo.geneformer_t.neighbors.quality.graph_warnings import graph_warnings
from bionemo.geneformer_t.neighbors.quality.leakage import leakage
from bionemo.geneformer_t.neighbors.quality.quality import graph_quality

seeded = np.random.default_rng


def leak_of(graph, facts, **options):
    time = options.pop("time", facts.time)
    return leakage(graph, facts.representation, facts.cluster, time, seeded(0), **options)


def with_leak(simulation, fraction: float) -> tuple[NeighborGraph, float]:
    """Some cells of B get a cell of A1 as their only successor: a fraction of its steps."""
    names = simulation.programmes.tree.names
    source = np.flatnonzero(
        (simulation.branch == names.index("B")) & (simulation.successors.out_degree > 0)
    )
    target = np.flatnonzero(simulation.branch == names.index("A1"))
    chosen = seeded(1).choice(source, round(fraction * len(source)), replace=False)
    matrix = simulation.successors.to_matrix().tolil()
    matrix[chosen] = 0
    matrix[chosen, target[: len(chosen)]] = 1
    return NeighborGraph.from_matrix(matrix.tocsr())[0], len(chosen) / len(source)


def test_true_successors_do_not_leak(simulation, simulated_facts) -> None:
    found = leak_of(simulation.successors, simulated_facts)
    assert (found.fraction, found.pairs) == (0, ())
    # root, A, B, A1, A2: four edges of the tree, and A beside B, where the root ends
    assert (found.num_pairs, found.num_joined) == (10, 4)
    assert found.num_connected < 8
    assert found.not_judged == 0


@pytest.mark.parametrize("planted", [0.12, 0.5])
def test_a_planted_leak_is_found_with_its_fraction(simulation, simulated_facts, planted) -> None:
    graph, exact = with_leak(simulation, planted)
    found = leak_of(graph, simulated_facts)
    (pair,) = found.pairs
    assert (pair.source, pair.target) == ("B", "A1")
    assert pair.fraction == pytest.approx(exact)
    assert pair.connectivity < 0.05
    (source,) = (one for one in found.clusters if one.fraction)
    assert source.fraction == pytest.approx(exact)
    error = 1.96 * np.sqrt(exact * (1 - exact) / source.num_cells)
    assert source.low == pytest.approx(exact - error, rel=1e-6)
    weight = source.num_cells / np.count_nonzero(graph.out_degree)
    assert found.fraction == pytest.approx(exact * weight)


def test_a_planted_leak_is_told_with_its_numbers(simulation, simulated_facts) -> None:
    graph, exact = with_leak(simulation, 0.12)
    quality = graph_quality(graph, simulated_facts, seeded(0))
    (sentence,) = (w.sentence for w in graph_warnings(quality) if w.kind == "leaks")
    assert f"{exact:.0%} of those from B to A1 (" in sentence
    assert "of the 10 pairs of clusters" in sentence
    clean = graph_quality(simulation.successors, simulated_facts, seeded(0))
    assert graph_warnings(clean) == ()


def test_random_successors_leak_as_much_as_chance(random_graph, simulated_facts) -> None:
    for time in (None, np.arange(400) % 3 + 0.0):
        found = leak_of(random_graph, simulated_facts, time=time)
        assert found.expected > 0.2
        assert found.fraction == pytest.approx(found.expected, abs=0.03)
        np.testing.assert_allclose(found.beyond_chance, 0, atol=0.06)
        np.testing.assert_allclose(found.by_chance.sum(axis=1), 1)


def test_chance_is_that_of_the_successors_time(graph_of) -> None:
    # day 0: 20 x; day 1: 30 x and 20 y, far from each other; all steps lead to y
    points = np.repeat([0.0, 1.0, 50.0], [20, 30, 20])[:, None] + seeded(0).normal(size=(70, 3))
    cluster = pd.Categorical(np.repeat(["x", "x", "y"], [20, 30, 20]))
    graph = graph_of([(i, 50 + i % 20) for i in range(20)], 70)
    found = leakage(graph, points, cluster, np.repeat([0.0, 1.0], [20, 50]), seeded(0))
    assert (found.fraction, found.low) == (1, 1)
    assert found.expected == pytest.approx(20 / 50)
    assert found.beyond_chance[0].tolist() == pytest.approx([-0.6, 0.6])
    assert leakage(graph, points, cluster, None, seeded(0)).expected == pytest.approx(20 / 70)


def test_times_that_nothing_connects_are_not_judged(graph_of) -> None:
    # clusters are the days, and days are far apart: no graph could do otherwise
    points = np.repeat([0.0, 50.0], 20)[:, None] + seeded(0).normal(size=(40, 3))
    days = np.repeat([0.0, 1.0], 20)
    graph = graph_of([(i, 20 + i) for i in range(20)], 40)
    found = leakage(graph, points, pd.Categorical(days.astype(str)), days, seeded(0))
    assert (found.fraction, found.not_judged) == (0, 1)
    assert found.num_connected == 0


def test_cells_without_a_cluster_count_nowhere(simulation, simulated_facts) -> None:
    labels = simulated_facts.cluster.astype(object)
    unlabelled = pd.Categorical(np.where(np.arange(400) % 5, labels, None))
    graph, _ = with_leak(simulation, 0.5)
    found = leak_of(graph, replace(simulated_facts, cluster=unlabelled))
    matrix = graph.to_matrix().multiply(graph.probabilities.max()).tocoo()
    known = np.asarray(unlabelled.codes) >= 0
    inside = known[matrix.row] & known[matrix.col]
    kept = sp.coo_array(
        (graph.probabilities[inside], (matrix.row[inside], matrix.col[inside])), shape=(400, 400)
    )
    names = np.asarray(labels)
    leaking = (names[kept.row] == "B") & (names[kept.col] == "A1")
    assert found.fraction == pytest.approx(kept.data[leaking].sum() / kept.data.sum())


def test_one_cluster_or_no_step_has_no_leakage(graph_of) -> None:
    points = np.zeros((4, 2))
    two = pd.Categorical(list("aabb"))
    assert (
        leakage(graph_of([(0, 1)], 4), points, pd.Categorical(list("aaaa")), None, seeded(0))
        is None
    )
    assert leakage(graph_of([], 4), points, two, None, seeded(0)) is None


def test_a_sample_of_cells_finds_the_same_connections(
    simulation, simulated_facts, monkeypatch
) -> None:
    graph, exact = with_leak(simulation, 0.5)
    monkeypatch.setattr(module, "MOST_CELLS", 250)
    found = leak_of(graph, simulated_facts)
    assert found.pairs[0].fraction == pytest.approx(exact)
