"""Direction, symmetry and reach agree with graphs whose answer is known."""

import networkx
import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.time_direction import (
    earliest_cells,
    reach,
    reciprocity,
    time_direction,
)


def reverse(graph: NeighborGraph) -> NeighborGraph:
    return NeighborGraph.from_matrix(graph.to_matrix().T)[0]


def test_a_chain_goes_forward_and_its_reverse_backward(chain) -> None:
    time = np.arange(10.0) / 2
    forward = time_direction(chain, time)
    assert (forward.forward, forward.backward, forward.num_backward_edges) == (1, 0, 0)
    assert forward.mean_step == pytest.approx(0.5)
    backward = time_direction(reverse(chain), time)
    assert (backward.forward, backward.backward, backward.num_backward_edges) == (0, 1, 9)
    assert backward.mean_step == pytest.approx(-0.5)


def test_edges_within_a_time_point_and_without_time_are_told_apart(chain) -> None:
    found = time_direction(chain, np.array([0, 0, 1, 1, 2, 2, 3, 3, np.nan, 4]))
    assert found.num_level_edges == 4
    assert found.num_edges_without_time == 2
    assert found.forward + found.level + found.backward == pytest.approx(1)
    assert time_direction(chain, np.full(10, np.nan)) is None


def test_a_step_counts_successors_by_their_weight() -> None:
    weights = sp.csr_matrix(np.array([[0, 3.0, 0], [0, 0, 0], [1.0, 3.0, 0]]))
    found = time_direction(NeighborGraph.from_matrix(weights)[0], np.array([0.0, 1, 0.5]))
    # cell 0 goes forward; cell 2 forward with probability 3/4
    assert found.forward == pytest.approx((1 + 0.75) / 2)
    assert found.num_backward_edges == 1


def test_symmetrised_graphs_run_both_ways_and_chains_one_way(chain, random_graph) -> None:
    assert reciprocity(chain).edges == reciprocity(chain).steps == 0
    matrix = random_graph.to_matrix()
    both = reciprocity(NeighborGraph.from_matrix(matrix + matrix.T)[0])
    assert both.edges == 1
    assert both.steps > 0.75


def test_unequal_weights_give_a_symmetric_pattern_a_direction(chain) -> None:
    forth = chain.to_matrix()
    leaning = reciprocity(NeighborGraph.from_matrix(forth + 0.01 * forth.T)[0])
    assert leaning.edges == 1
    assert leaning.steps < 0.25  # each end has one way out, which has the probability 1


def test_reciprocity_is_the_one_of_dense_matrices() -> None:
    graph = NeighborGraph.from_matrix(sp.random(50, 50, 0.3, random_state=1))[0]
    dense = graph.to_matrix().toarray()
    chance = dense / np.maximum(dense.sum(axis=1, keepdims=True), 1e-300)
    found = reciprocity(graph)
    assert found.edges == pytest.approx(((dense > 0) & (dense.T > 0)).sum() / graph.num_edges)
    assert found.steps == pytest.approx(np.minimum(chance, chance.T).sum() / chance.sum())


def test_reach_is_what_a_graph_library_finds(random_graph) -> None:
    thin = random_graph.to_matrix().copy()
    thin.data[np.random.default_rng(0).random(thin.nnz) < 0.75] = 0
    graph = NeighborGraph.from_matrix(thin)[0]
    roots = np.zeros(400, dtype=bool)
    roots[[3, 5]] = True
    network = networkx.from_scipy_sparse_array(graph.to_matrix(), create_using=networkx.DiGraph)
    expected = {3, 5} | networkx.descendants(network, 3) | networkx.descendants(network, 5)
    found = reach(graph, roots, "given")
    assert (found.num_roots, found.num_reached) == (2, len(expected))
    assert 2 < found.num_reached < 400


def test_the_earliest_cells_stand_in_for_a_root() -> None:
    roots, what = earliest_cells(np.array([2.0, 0, 2, 0, 4, 4]))
    assert roots.tolist() == [False, True, False, True, False, False]
    assert what == "the first time point"
    roots, what = earliest_cells(np.linspace(0, 1, 200))
    assert roots.tolist() == [True] * 10 + [False] * 190
    assert what == "the earliest twentieth"
