"""Siblings and fates of a small pedigree, counted by hand."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.evaluate.retrieval.clone_measures import Clones

# clone 0: cells 0 (day 2), 3, 4 (day 4), 6 (day 6); clone 1: 1 (day 2), 5 (day 4); clone 2: 2 alone
MEMBERSHIP = sp.csr_matrix(
    np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
)
TIME = np.array([2.0, 2, 2, 4, 4, 4, 6])
STATES = np.array(["undiff", "undiff", "undiff", "B", "A", "undiff", "B"])


@pytest.fixture
def clones() -> Clones:
    return Clones.of(MEMBERSHIP, TIME, STATES, no_fates=["undiff"])


def test_siblings_are_later_cells_of_the_same_clone(clones) -> None:
    assert clones.cells.tolist() == [0, 1, 3, 4]
    assert clones.of_cell.tolist() == [0, 1, 0, 0]
    found = [np.flatnonzero(mine).tolist() for mine in clones.siblings]
    assert found == [[3, 4, 6], [5], [6], [6]]
    assert clones.fates.tolist() == ["B", "", "B", "B"]  # that of most, undifferentiated is none


def test_chosen_cells_are_counted(clones) -> None:
    chosen = np.array([[3, 4, 5], [5, 6, 3], [6, -1, -1], [6, -1, -1]])
    assert clones.sibling_share(chosen).tolist() == pytest.approx([2 / 3, 1 / 3, 1, 1])
    right, probability = clones.fate_is_right(chosen), clones.probability_of_fate(chosen)
    np.testing.assert_array_equal(right, [0, np.nan, 1, 1])  # A and B tie: the first by name
    np.testing.assert_array_equal(probability, [0.5, np.nan, 1, 1])


def test_only_later_cells_are_chosen_whatever_their_scores(clones) -> None:
    scores = np.tile(np.array([9.0, 9, 9, 1, 3, 2, 0]), (4, 1))
    chosen = clones.highest(scores, 3, np.random.default_rng(0))
    assert chosen.tolist() == [[4, 5, 3], [4, 5, 3], [6, -1, -1], [6, -1, -1]]


def test_weights_count_as_cells_do(clones) -> None:
    chosen = np.array([[3, 4, 5], [5, 6, 3], [6, -1, -1], [-1, -1, -1]])
    weights = np.array([[0.5, 0.2, 0.3], [0.1, 0.2, 0.7], [1, 0, 0], [0, 0, 0]])
    assert clones.sibling_share(chosen, weights).tolist() == pytest.approx([0.7, 0.1, 1, 0])
    np.testing.assert_array_equal(clones.fate_is_right(chosen, weights), [1, np.nan, 1, 0])
    np.testing.assert_allclose(
        clones.probability_of_fate(chosen, weights), [0.5 / 0.7, np.nan, 1, 0]
    )


def test_cells_without_a_chance_are_never_chosen(clones) -> None:
    scores = np.tile(np.array([9.0, 9, 9, -np.inf, 3, -np.inf, 0]), (4, 1))
    chosen = clones.highest(scores, 3, np.random.default_rng(0))
    assert chosen.tolist() == [[4, 6, -1], [4, 6, -1], [6, -1, -1], [6, -1, -1]]


def test_some_cells_can_stand_for_all() -> None:
    some = [Clones.of(MEMBERSHIP, TIME, STATES, most=2) for _ in range(2)]
    whole = Clones.of(MEMBERSHIP, TIME, STATES)
    assert some[0].cells.tolist() == some[1].cells.tolist()
    places = np.searchsorted(whole.cells, some[0].cells)
    assert len(places) == 2
    for name in ("of_cell", "siblings", "later", "fates"):
        np.testing.assert_array_equal(getattr(some[0], name), getattr(whole, name)[places])


def test_nothing_can_be_said_where_no_clone_lasts() -> None:
    with pytest.raises(ValueError, match="no clone has cells at several times"):
        Clones.of(MEMBERSHIP, np.zeros(7), STATES)
