"""Crossings of batches and flows between clusters."""

import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.neighbors.quality.composition import (
    batch_crossing,
    cluster_flow,
    order_along_flow,
)

RNG = np.random.default_rng(0)


def test_random_successors_cross_batches_as_often_as_chance(random_graph) -> None:
    batch = pd.Categorical(np.where(RNG.random(400) < 0.3, "a", "b"))
    found = batch_crossing(random_graph, batch, None)
    assert found.num_batches == 2
    assert found.crossing == pytest.approx(found.expected, abs=0.03)
    assert found.expected == pytest.approx(2 * 0.3 * 0.7, abs=0.05)


def test_a_graph_inside_batches_never_crosses(graph_of) -> None:
    graph = graph_of([(i, (i + 2) % 10) for i in range(10)], 10)
    found = batch_crossing(graph, pd.Categorical(["even", "odd"] * 5), None)
    assert (found.crossing, found.num_crossing_edges) == (0, 0)
    assert found.expected == pytest.approx(0.5)


def test_chance_is_taken_within_the_time_of_the_successor(graph_of) -> None:
    # donor a gave day 0 and donor b day 1: every edge must cross, and chance says so
    graph = graph_of([(0, 4), (1, 5), (2, 6), (3, 7)], 8)
    days, donors = np.repeat([0.0, 1.0], 4), pd.Categorical(["a"] * 4 + ["b"] * 4)
    found = batch_crossing(graph, donors, days)
    assert (found.crossing, found.expected) == (1, 1)
    assert batch_crossing(graph, donors, None).expected == pytest.approx(0.5)


def test_cells_without_a_batch_or_a_cluster_count_nowhere(graph_of) -> None:
    graph = graph_of([(0, 1), (1, 2), (2, 3)], 4)
    labels = pd.Categorical(["a", "b", None, "b"])
    assert batch_crossing(graph, labels, None).crossing == 1
    flow = cluster_flow(graph, labels)
    assert flow.num_edges.sum() == 1
    assert flow.num_edges_without == 2
    assert batch_crossing(graph, pd.Categorical([None] * 4), None) is None


def test_rows_of_the_flow_sum_to_one_or_are_empty(simulation, simulated_facts) -> None:
    flow = cluster_flow(simulation.successors, simulated_facts.cluster)
    assert flow.labels == simulation.programmes.tree.names
    sums = flow.shares.sum(axis=1)
    has_edges = flow.num_edges.sum(axis=1) > 0
    np.testing.assert_allclose(sums[has_edges], 1)
    assert (sums[~has_edges] == 0).all()
    assert flow.num_edges.sum() == simulation.successors.num_edges
    # the tree allows no other ways
    assert (flow.shares[~simulation.programmes.tree.leads_to] == 0).all()
    assert flow.shares[0, 1] > 0


def test_a_cluster_without_successors_has_an_empty_row(chain) -> None:
    flow = cluster_flow(chain, pd.Categorical(["a"] * 9 + ["end"], categories=["a", "end", "none"]))
    assert flow.shares.tolist() == [[8 / 9, 1 / 9, 0], [0, 0, 0], [0, 0, 0]]


def test_clusters_are_ordered_along_the_flow(simulation, simulated_facts) -> None:
    shuffled = simulated_facts.cluster.reorder_categories(["A2", "B", "root", "A1", "A"])
    flow = cluster_flow(simulation.successors, shuffled)
    order = [flow.labels[i] for i in order_along_flow(flow)]
    assert order[0] == "root"
    assert order.index("A") < min(order.index("A1"), order.index("A2"))


def test_no_flow_keeps_the_order(graph_of) -> None:
    flow = cluster_flow(graph_of([(0, 1), (1, 0)], 4), pd.Categorical(["b", "a", "c", "d"]))
    assert order_along_flow(flow).tolist() == [0, 1, 2, 3]
