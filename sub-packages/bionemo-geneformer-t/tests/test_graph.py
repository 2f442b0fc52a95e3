"""A neighbor graph holds each successor once and nothing else."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph


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
