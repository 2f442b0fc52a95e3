"""Looking up what followed similar cells."""

import numpy as np
import pytest

from bionemo.geneformer_t.model.successor_index import SuccessorIndex, gaussian, reach

GENES = {10: np.array([5, 6, 7]), 11: np.array([6, 5]), 12: np.array([8])}


@pytest.fixture
def index() -> SuccessorIndex:
    points = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]], dtype=np.float32)
    return SuccessorIndex.of(points, [[10, 11], [11], [12]], [[0.75, 0.25], [1.0], [1.0]], GENES)


def test_the_nearest_come_first_and_one_can_be_left_out(index) -> None:
    point = np.array([0.9, 0.0], dtype=np.float32)
    assert index.nearest(point, 2).tolist() == [1, 0]
    assert index.nearest(point, 2, excluded=1).tolist() == [0, 2]
    assert index.nearest(point, 99).tolist() == [1, 0, 2]


def test_a_next_cell_of_several_weighs_what_they_give_it_together(index) -> None:
    cells, weights = index.next_cells(np.array([0, 1]))
    assert cells.tolist() == [0, 1]
    np.testing.assert_allclose(weights, [0.75, 1.25])


def test_frequencies_are_weighted_shares_and_stop_where_cells_stop(index) -> None:
    genes, found = index.frequencies(np.array([0]), num_ranks=5, width=0.1)
    assert genes.tolist() == [5, 6, 7]
    np.testing.assert_allclose(found[0], [0.75, 0.25, 0])
    np.testing.assert_allclose(found[1], [0.25, 0.75, 0])
    np.testing.assert_allclose(found[2], [0, 0, 1])
    np.testing.assert_array_equal(found[3:], 0)


def test_genes_beyond_the_reach_of_smoothing_are_left_out() -> None:
    genes_of = {0: np.arange(500), 1: np.arange(500, 1000)}
    long = SuccessorIndex.of(np.zeros((2, 1)), [[0], [1]], [[1.0], [1.0]], genes_of)
    genes, found = long.frequencies(np.arange(2), 10, 4.0)
    furthest = 9 + reach(4.0)
    np.testing.assert_array_equal(genes, [*range(furthest + 1), *range(500, 501 + furthest)])
    apart = np.arange(10)[:, None] - np.arange(500)
    mass = gaussian(apart, 4.0)
    assert not mass[:, furthest:].any()
    expected = mass / mass.sum(axis=1, keepdims=True) / 2
    np.testing.assert_allclose(found[:, : furthest + 1], expected[:, : furthest + 1], atol=1e-7)


def test_a_rank_has_the_same_frequencies_however_many_are_asked_for(index) -> None:
    places = np.array([0, 1, 2])
    genes, all_ranks = index.frequencies(places, num_ranks=5, width=2.0)
    fewer, first = index.frequencies(places, num_ranks=1, width=2.0)
    assert fewer.tolist() == genes.tolist()
    np.testing.assert_allclose(first[0], all_ranks[0], rtol=1e-6)


@pytest.mark.parametrize("width", [0.5, 2.0, 50.0])
def test_single_positions_get_what_whole_frequencies_say(index, width) -> None:
    places, ranks = np.array([2, 0, 1]), np.arange(3)
    for number in (1, 2, 3):
        genes, found = index.frequencies(places[:number], num_ranks=3, width=width)
        for column, gene in enumerate(genes):
            (tried,) = index.at(places, (1, number), ranks, np.full(3, gene), [width])
            np.testing.assert_allclose(tried[1], found[:, column], rtol=1e-5)


def test_genes_beyond_all_that_it_knows_have_no_frequency(index) -> None:
    (found,) = index.at(np.array([0]), (1,), np.array([0, 0]), np.array([9, 500]), [3.0])
    assert found.tolist() == [[0, 0]]


def test_it_is_the_same_after_a_checkpoint(index) -> None:
    again = SuccessorIndex.from_dict(index.to_dict())
    for name in ("points", "edge_offsets", "successors", "shares", "gene_offsets", "genes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(index, name))


def test_a_gaussian_is_one_at_its_centre_and_exactly_nothing_far_away() -> None:
    assert gaussian(np.array([0, 3, 1000]), 3.0).tolist() == pytest.approx([1, np.exp(-0.5), 0])
