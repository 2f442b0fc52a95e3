"""Connectivities compare the edges between clusters with those of a random graph."""

import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.neighbors.paga import paga_connectivities

RNG = np.random.default_rng(0)


def random_neighbors(num_cells: int, degree: int) -> sp.csr_array:
    columns = np.concatenate([RNG.permutation(num_cells)[:degree] for _ in range(num_cells)])
    rows = np.repeat(np.arange(num_cells), degree)
    return sp.csr_array(sp.coo_array((np.ones(len(rows)), (rows, columns))))


def test_a_random_graph_connects_all_clusters_fully() -> None:
    cluster = RNG.integers(0, 3, 600)
    connectivities = paga_connectivities(random_neighbors(600, 15), cluster)
    between = connectivities[~np.eye(3, dtype=bool)]
    assert (between > 0.9).all()
    assert (np.diag(connectivities) == 0).all()


def test_the_formula_by_hand() -> None:
    # two cells in each cluster, each with one neighbor: 0 - 1, 1 - 2 (across), 2 - 3, 3 - 2
    neighbors = sp.csr_array(sp.coo_array((np.ones(4), ([0, 1, 2, 3], [1, 2, 3, 2])), shape=(4, 4)))
    # edges between: 1; edges that leave each cluster's cells: 2; expected: (2 * 2 + 2 * 2) / 3
    expected = 1 / (8 / 3)
    found = paga_connectivities(neighbors, np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(found, [[0, expected], [expected, 0]])


def test_clusters_without_an_edge_between_them_are_not_connected() -> None:
    block = random_neighbors(50, 5)
    neighbors = sp.csr_array(sp.block_diag([block, block]))
    connectivities = paga_connectivities(neighbors, np.repeat([0, 1], 50))
    assert (connectivities == 0).all()
