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


def test_self_loops_and_zeros_are_left_out_and_counted():
    matrix = sp.coo_array(([1.0, 0.0, 2.0], ([0, 0, 1], [0, 1, 0])), shape=(2, 2))
    graph, dropped = NeighborGraph.from_matrix(matrix)
    assert graph.to_matrix().toarray().tolist() == [[0, 0], [2, 0]]
    assert dropped == {"self-loop": 1, "zero weight": 1}


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_impossible_weights_are_refused(weight):
    with pytest.raises(ValueError, match="finite and not negative"):
        NeighborGraph.from_matrix(sp.csr_array([[0, weight], [0, 0]]))


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
