"""Edges are compared with random pairs, fairly and the same way every time."""

import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.neighbors.quality import distances as module
from bionemo.geneformer_t.neighbors.quality.distances import distances


def test_random_successors_are_no_closer_and_true_ones_are(
    simulation, simulated_facts, random_graph
) -> None:
    points = simulated_facts.representation
    for graph, low, high in ((random_graph, 0.95, 1.05), (simulation.successors, 0.4, 0.85)):
        found = distances(graph, points, None, None, np.random.default_rng(0))
        assert low < found.ratio < high
        assert found.ratio < found.ratio_high < found.ratio + 0.1
        assert found.ratio == pytest.approx(found.successor / found.random)
        assert found.same_time is None


def test_time_points_are_compared_with_cells_of_the_same_point(graph_of) -> None:
    # all that tells cells apart is their time: near the successor's time point, but no nearer
    # than any other cell there
    generator = np.random.default_rng(0)
    time = np.arange(400) % 4 + 0.0
    points = np.column_stack([10 * time, generator.normal(size=400)])
    graph = graph_of([(i, (i + 1) % 400) for i in range(400) if time[i] < 3], 400)
    found = distances(graph, points, time, None, generator)
    assert found.successor < 0.9 * found.random
    assert found.same_time == pytest.approx(found.successor, rel=0.02)
    assert found.ratio == pytest.approx(found.successor / found.same_time)


def test_the_generator_decides_and_nothing_else(simulation, simulated_facts) -> None:
    arguments = (simulation.successors, simulated_facts.representation, None, None)
    first = distances(*arguments, np.random.default_rng(0))
    assert first == distances(*arguments, np.random.default_rng(0))
    assert first.random != distances(*arguments, np.random.default_rng(1)).random


def test_a_sample_of_cells_gives_nearly_the_same(simulation, simulated_facts, monkeypatch) -> None:
    arguments = (simulation.successors, simulated_facts.representation, None, None)
    whole = distances(*arguments, np.random.default_rng(0))
    monkeypatch.setattr(module, "MOST_CELLS", 100)
    sample = distances(*arguments, np.random.default_rng(0))
    assert (whole.num_cells, sample.num_cells) == (
        int((simulation.successors.out_degree > 0).sum()), 100,
    )  # fmt: skip
    assert sample.ratio == pytest.approx(whole.ratio, abs=0.08)


def test_histograms_are_shares_and_lean_to_where_the_means_are(simulation, simulated_facts) -> None:
    found = distances(
        simulation.successors, simulated_facts.representation, None, None, np.random.default_rng(0)
    )
    middles = (np.array(found.bins[1:]) + found.bins[:-1]) / 2
    for name in ("successor", "random"):
        assert sum(found.histograms[name]) == pytest.approx(1)
        assert middles @ found.histograms[name] == pytest.approx(getattr(found, name), rel=0.03)


def test_identical_cells_and_single_edges(graph_of) -> None:
    same = distances(
        graph_of([(0, 1), (1, 2)], 3), np.zeros((3, 2)), None, None, np.random.default_rng(0)
    )
    assert (same.ratio, same.ratio_high) == (1, 1)
    assert (
        distances(graph_of([(0, 1)], 3), np.zeros((3, 2)), None, None, np.random.default_rng(0))
        is None
    )


def test_leaps_are_counted_for_each_cluster(graph_of) -> None:
    # cells of a line; all of the last cluster but its end step back to the first cell
    points = np.arange(60.0)[:, None]
    edges = [(i, i + 1) for i in range(40)] + [(i, 0) for i in range(40, 59)]
    cluster = pd.Categorical(np.repeat(["a", "b", "c"], 20))
    found = distances(graph_of(edges, 60), points, None, cluster, np.random.default_rng(0))
    assert found.leaps_from == {"a": 0, "b": 0, "c": 1}
    assert found.leaps == pytest.approx(19 / 59)


def test_leaps_are_counted_among_the_cells_of_the_successors_time_point(graph_of) -> None:
    # 120 cells of day 0 at one place, 101 of day 1 on a line far away: two thirds of the steps go
    # to the nearest of them, the others beyond the middle
    points = np.concatenate([np.zeros(120), 1000 + np.arange(101.0)])[:, None]
    edges = [(i, 120 if i % 3 else 120 + 60) for i in range(120)]
    graph, time = graph_of(edges, 221), np.repeat([0.0, 1.0], [120, 101])
    found = distances(graph, points, time, None, np.random.default_rng(0))
    assert found.leaps == pytest.approx(1 / 3)
    # among the cells of all days, every step to day 1 is a leap
    assert distances(graph, points, None, None, np.random.default_rng(0)).leaps == 1


def test_half_of_random_successors_leap_in_time_and_without(random_graph) -> None:
    points = np.random.default_rng(2).normal(size=(400, 5))
    for time in (None, np.arange(400) % 4 + 0.0):
        found = distances(random_graph, points, time, None, np.random.default_rng(0))
        assert found.leaps == pytest.approx(0.5, abs=0.03)  # 2,000 edges


def test_references_are_sampled_where_a_time_point_is_large(random_graph, monkeypatch) -> None:
    points = np.random.default_rng(2).normal(size=(400, 5))
    whole = distances(random_graph, points, None, None, np.random.default_rng(0)).leaps
    monkeypatch.setattr(module, "_MOST_REFERENCES", 60)
    sampled = distances(random_graph, points, None, None, np.random.default_rng(0)).leaps
    assert sampled == pytest.approx(whole, abs=0.03)
