"""What is refused as a transition matrix, and what is known about its paths."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bionemo.geneformer_t.fates.chain_structure import (
    chain_structure,
    checked_transitions,
)

CELLS = ["a", "b", "c", "d"]
CHAIN = np.array([[0, 0.5, 0.5, 0], [0.5, 0, 0, 0.5], [0, 0, 1, 0], [0, 0, 0, 1]])


def mask(cells: int, *members: int) -> np.ndarray:
    return np.isin(np.arange(cells), members)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix, sp.csc_array, sp.coo_array])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, ">f8", ">f4"])
def test_any_kind_of_matrix_is_taken(make, kind, without_type_checks):
    matrix = make(CHAIN)
    if sp.issparse(matrix):  # SciPy makes none of some types, and files hold them
        matrix.data = matrix.data.astype(kind)
    else:
        matrix = matrix.astype(kind)
    found = checked_transitions(matrix, CELLS)
    np.testing.assert_array_equal(found.toarray(), CHAIN)
    assert found.dtype == np.float64


def test_a_matrix_that_is_right_is_not_copied():
    chain = sp.csr_matrix(CHAIN)
    assert np.shares_memory(checked_transitions(chain, CELLS).data, chain.data)


def test_rows_sum_to_one_exactly_and_zeros_are_no_transitions():
    chain = sp.csr_array(CHAIN.astype(np.float32) * np.float32(1 + 3e-6))
    chain.data[0] *= np.float32(1 + 1e-6)
    given_values = chain.data.copy()
    found = checked_transitions(chain, CELLS)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_array_equal(chain.data, given_values)
    stored = sp.csr_array(CHAIN)
    stored.data[:2] = 0, 1  # an explicit zero
    assert checked_transitions(stored, CELLS).nnz == 5
    assert stored.nnz == 6


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((1, 0), np.nan, "1 NaN or infinite values, in the rows of b"),
        ((1, 0), np.inf, "1 NaN or infinite values, in the rows of b"),
        ((2, 2), -0.5, "1 negative values, in the rows of c"),
        ((0, 1), 0.4, r"rows of 1 of 4 cells sum to 0.9 to 0.9, .* Cells: a\. If cells"),
        ((0, 1), 0.6, r"rows of 1 of 4 cells sum to 1.1 to 1.1, .* Cells: a\. gft.tl.trans"),
    ],
)
def test_wrong_values_name_the_cells(place, value, message):
    chain = CHAIN.copy()
    chain[place] = value
    with pytest.raises(ValueError, match=message):
        checked_transitions(sp.csr_array(chain), CELLS)


def test_a_neighbor_graph_and_other_shapes_are_refused(without_type_checks):
    graph = sp.csr_array(np.ones((20, 20)) - np.eye(20))
    cells = [f"cell_{i}" for i in range(20)]
    message = (
        r"obsp\['near'\] is no transition matrix: the rows of 20 of 20 cells sum to 19 to 19.*"
        r"cell_0, cell_1, cell_2, cell_3, cell_4, \.\.\. \(20 in all\)"
    )
    with pytest.raises(ValueError, match=message):
        checked_transitions(graph, cells, "obsp['near']")
    with pytest.raises(ValueError, match="a row and a column for each of the 4 cells; got 20 x 20"):
        checked_transitions(graph, CELLS)
    with pytest.raises(ValueError, match="got no matrix"):
        checked_transitions(None, CELLS)
    with pytest.raises(ValueError, match="no transition at all"):
        checked_transitions(sp.csr_array((4, 4)), CELLS)


def test_classes_and_paths_of_a_small_chain():
    chain = sp.csr_array(CHAIN)
    found = chain_structure(chain)
    assert found.component[0] == found.component[1]
    assert len(set(found.component)) == 3
    assert sorted(found.closed) == [-1, -1, 0, 1]
    np.testing.assert_array_equal(found.reaching(mask(4, 2)), mask(4, 0, 1, 2))
    np.testing.assert_array_equal(found.reached_from(mask(4, 0)), mask(4, 0, 1, 2, 3))
    labels = np.array(["x", "x", "y", "z"])
    assert found.sentences(labels) == [
        "4 cells are in 3 strongly connected sets, the largest of 2 cells",
        "2 closed classes, from which no path leads out: 1 cell (all y), 1 cell (all z)",
    ]


def test_cells_without_transitions_stay_and_are_said():
    chain = CHAIN.copy()
    chain[3] = 0
    found = chain_structure(checked_transitions(sp.csr_array(chain), CELLS))
    assert found.num_closed == 2
    assert found.sentences()[-1] == "1 cell without any transition: taken to stay as they are"


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), cells=st.integers(1, 25), edges=st.integers(0, 60))
def test_paths_are_those_of_the_matrix_powers(seed, cells, edges):
    rng = np.random.default_rng(seed)
    graph = np.zeros((cells, cells), dtype=bool)
    graph[rng.integers(cells, size=edges), rng.integers(cells, size=edges)] = True
    paths = np.eye(cells, dtype=bool)
    for _ in range(cells):
        paths |= (paths.astype(int) @ graph) > 0
    found = chain_structure(sp.csr_array(graph.astype(np.float64)))
    some = rng.random(cells) < 0.3
    np.testing.assert_array_equal(found.reaching(some), paths[:, some].any(axis=1))
    np.testing.assert_array_equal(found.reached_from(some), paths[some].any(axis=0))
    np.testing.assert_array_equal(found.component[:, None] == found.component, paths & paths.T)
    closed = ~(paths & ~paths.T).any(axis=1)
    np.testing.assert_array_equal(found.closed >= 0, closed)
    sizes = np.bincount(found.closed[closed])
    assert (np.diff(sizes) <= 0).all()


def test_blocks_of_rows_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    chain = sp.random_array((50, 50), density=0.04, rng=rng, format="csr")
    whole = chain_structure(chain)
    monkeypatch.setattr("bionemo.geneformer_t.fates.chain_structure._EDGES_AT_ONCE", 7)
    parts = chain_structure(chain)
    np.testing.assert_array_equal(whole.closed, parts.closed)
    assert (whole.between != parts.between).nnz == 0
