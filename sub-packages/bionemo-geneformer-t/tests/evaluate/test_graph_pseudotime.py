import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.evaluate.graph_pseudotime import position_along
from bionemo.geneformer_t.graph import NeighborGraph


def graph_of(matrix) -> NeighborGraph:
    return NeighborGraph.from_matrix(sp.csr_array(matrix))[0]


def test_cells_of_a_chain_are_one_step_apart() -> None:
    position = position_along(graph_of(sp.eye_array(30, k=1)))
    assert np.diff(position) == pytest.approx(np.ones(29), abs=1e-5)
    assert position.mean() == pytest.approx(0, abs=1e-6)


def test_order_does_not_depend_on_how_cells_are_numbered() -> None:
    chain = (sp.eye_array(40, k=1) + 0.5 * sp.eye_array(40, k=2)).tocsr()
    order = np.random.default_rng(0).permutation(40)
    shuffled = position_along(graph_of(chain[order][:, order]))
    assert shuffled == pytest.approx(position_along(graph_of(chain))[order], abs=1e-4)


def test_branches_of_a_fork_run_side_by_side() -> None:
    matrix = np.zeros((7, 7))
    for current, successor in [(0, 1), (1, 2), (2, 3), (1, 4), (4, 5)]:
        matrix[current, successor] = 1
    position = position_along(graph_of(matrix))
    assert position[2] == pytest.approx(position[4], abs=1e-5)
    assert np.isnan(position[6])


def test_a_cycle_has_no_first_cell() -> None:
    matrix = np.roll(np.eye(5), 1, axis=1)
    assert position_along(graph_of(matrix)) == pytest.approx(np.zeros(5), abs=1e-6)
