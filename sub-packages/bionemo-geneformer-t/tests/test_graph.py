"""A neighbor graph holds each successor once and nothing else."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.graph import NeighborGraph, shuffled_graph


def test_rows_are_current_cells_and_columns_successors():
    graph, dropped = NeighborGraph.from_matrix(sp.csr_array([[0, 2.0, 1], [0, 0, 0], [0, 3, 0]]))
    cells, weights = graph.successors(0)
    assert (cells.tolist(), weights.tolist()) == ([1, 2], [2.0, 1.0])
    assert graph.out_degree.tolist() == [2, 0, 1]
    assert (graph.num_cells, graph.num_edges) == (3, 3)
    assert dropped == {"self-loop": 0, "zero weight": 0}


@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
def test_a_graph_is_written_by_rows_whatever_it_was_read_from(layout):
    """bionemo-scdl takes a matrix that is stored by columns for its transpose."""
    matrix = sp.csr_matrix([[0, 1, 0], [0, 0, 2], [0, 0, 0]]).asformat(layout)
    written = NeighborGraph.from_matrix(matrix)[0].to_matrix()
    assert written.format == "csr"
    assert written.toarray().tolist() == [[0, 1, 0], [0, 0, 2], [0, 0, 0]]


def test_self_loops_and_zeros_are_left_out_and_counted():
    matrix = sp.coo_array(([1.0, 0.0, 2.0], ([0, 0, 1], [0, 1, 0])), shape=(2, 2))
    graph, dropped = NeighborGraph.from_matrix(matrix)
    assert graph.to_matrix().toarray().tolist() == [[0, 0], [2, 0]]
    assert dropped == {"self-loop": 1, "zero weight": 1}


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_impossible_weights_are_refused(weight):
    with pytest.raises(ValueError, match="finite and not negative"):
        NeighborGraph.from_matrix(sp.csr_array([[0, weight], [0, 0]]))


@pytest.mark.parametrize(
    ("weights", "chances"),
    [
        ([1e-320, 3e-320], [0.25, 0.75]),
        ([5e-324, 5e-324], [0.5, 0.5]),
        ([1e308, 1e308], [0.5, 0.5]),
        ([1.5e308, 0.5e308], [0.75, 0.25]),
        ([1.6e308, 1.6e28], [1.0, 1e-280]),
        ([1.0, 1e-320], [1.0, 1e-320]),
        ([2.0, 6.0], [0.25, 0.75]),
    ],
)
def test_weights_near_the_ends_of_the_floats_keep_their_proportions(weights, chances):
    matrix = sp.coo_array((weights, ([0, 0], [1, 2])), shape=(3, 3))
    graph, _ = NeighborGraph.from_matrix(matrix)
    assert (graph.weights > 0).all()
    np.testing.assert_allclose(graph.weights / graph.weights.sum(), chances, rtol=3e-4, atol=0)
    assert graph.weights.tolist() == weights or max(weights) > 1e280 or max(weights) < 1e-280


def test_parallel_edges_of_huge_weights_add_up():
    matrix = sp.coo_array(([1e308] * 3, ([0, 0, 0], [1, 1, 2])), shape=(3, 3))
    graph, _ = NeighborGraph.from_matrix(matrix)
    np.testing.assert_allclose(graph.weights / graph.weights.sum(), [2 / 3, 1 / 3])


def test_weights_that_no_probability_can_tell_apart_are_refused():
    matrix = sp.coo_array(([1e308, 1e-320], ([0, 0], [1, 2])), shape=(3, 3))
    with pytest.raises(ValueError, match=r"weights of row 0 span from 1e-320 to 1e\+308"):
        NeighborGraph.from_matrix(matrix)


def test_a_matrix_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match=r"cells x cells; got \(2, 3\)"):
        NeighborGraph.from_matrix(sp.csr_array((2, 3)))


@given(seed=st.integers(0, 2**32 - 1), num_cells=st.integers(20, 60), degree=st.integers(1, 5))
def test_shuffling_keeps_how_often_a_cell_follows_and_is_followed(seed, num_cells, degree) -> None:
    rng = np.random.default_rng(seed)
    matrix = np.zeros((num_cells, num_cells))
    for cell in range(num_cells - 3):
        matrix[cell, rng.permutation(num_cells)[:degree]] = rng.random(degree) + 0.1
    graph, _ = NeighborGraph.from_matrix(sp.csr_matrix(matrix))
    shuffled = shuffled_graph(graph, rng)
    np.testing.assert_array_equal(shuffled.indptr, graph.indptr)
    np.testing.assert_array_equal(shuffled.weights, graph.weights)
    np.testing.assert_array_equal(np.sort(shuffled.indices), np.sort(graph.indices))
    again, left_out = NeighborGraph.from_matrix(shuffled.to_matrix())
    assert again.num_edges == graph.num_edges  # none twice
    assert left_out["self-loop"] == 0


def test_shuffled_successors_know_nothing_of_the_cell() -> None:
    number = 2000
    cells = np.arange(number)
    follows = sp.csr_matrix((np.ones(number - 1), (cells[:-1], cells[1:])), shape=(number, number))
    graph, _ = NeighborGraph.from_matrix(follows)
    shuffled = shuffled_graph(graph, np.random.default_rng(0)).to_matrix().tocoo()
    assert (shuffled.col == shuffled.row + 1).mean() < 0.005
    assert abs(np.corrcoef(shuffled.row, shuffled.col)[0, 1]) < 0.1  # 1 / sqrt(2000) is 0.02


def test_a_graph_with_one_order_only_cannot_be_shuffled() -> None:
    graph, _ = NeighborGraph.from_matrix(sp.csr_matrix(np.ones((3, 3))))
    assert (shuffled_graph(graph, np.random.default_rng(0)).to_matrix() > 0).nnz == 6
    two, _ = NeighborGraph.from_matrix(sp.csr_matrix(np.array([[0, 1], [1, 0]])))
    assert shuffled_graph(two, np.random.default_rng(0)).indices.tolist() == [1, 0]
