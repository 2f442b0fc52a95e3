"""Degrees, dead ends and hubs are counted as one would by hand."""

import numpy as np

from bionemo.geneformer_t.neighbors.quality.degrees import dead_ends, degrees, hubs


def test_isolated_cells_are_counted(graph_of) -> None:
    graph = graph_of([(0, 1), (0, 2), (1, 2)], 6)
    out, received = degrees(graph.out_degree), degrees(graph.in_degree)
    assert (out.num_zero, received.num_zero) == (4, 4)
    assert (out.maximum, received.maximum) == (2, 2)
    assert out.mean == received.mean == 0.5


def test_the_end_of_the_trajectory_is_no_dead_end(chain) -> None:
    days = np.repeat([0.0, 3.0, 6.0], [4, 3, 3])
    at_end = dead_ends(chain, days)
    assert (at_end.num_cells, at_end.num_without) == (7, 0)
    early = dead_ends(chain, np.repeat([6.0, 3.0, 0.0], [4, 3, 3]))
    assert (early.num_cells, early.num_without) == (6, 1)
    assert dead_ends(chain, None).num_without == 1


def test_continuous_time_looks_at_its_first_half(chain) -> None:
    found = dead_ends(chain, np.arange(10.0))
    assert found.where == "in the first half of the time"
    assert (found.num_cells, found.num_without) == (5, 0)
    assert dead_ends(chain, np.arange(10.0)[::-1]).num_without == 1


def test_random_edges_have_no_hubs_and_a_star_is_one(graph_of, random_graph) -> None:
    spread = hubs(random_graph, None, np.random.default_rng(0))
    assert 0.8 < spread.num_holders / spread.by_chance < 1.25
    star = hubs(graph_of([(i, 0) for i in range(1, 200)], 200), None, np.random.default_rng(0))
    assert star.num_holders == 1
    assert star.by_chance > 20


def test_cells_of_the_first_time_point_are_not_expected_to_be_successors(graph_of) -> None:
    edges = [(i, 100 + i % 20) for i in range(100)]
    time = np.repeat([0.0, 1.0], [100, 20])
    found = hubs(graph_of(edges, 120), time, np.random.default_rng(0))
    assert found.num_holders == 10
    assert found.by_chance <= 10
