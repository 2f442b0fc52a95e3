from dataclasses import replace

import numpy as np
import pytest


def test_targets_hold_the_cut_cells_and_every_successor(split_of) -> None:
    pairs = split_of([[5, 6, 7, 8], [9, 5, 6, 7], [8]], {0: {1: 3.0, 2: 1.0}}, max_genes=3)
    (target,) = pairs.targets()
    assert target.context.tolist() == [5, 6, 7]
    assert target.expressed.tolist() == [5, 6, 7, 8]
    assert [genes.tolist() for genes in target.next_cells] == [[9, 5, 6], [8]]
    assert target.weights == [0.75, 0.25]


def test_weights_of_each_current_cell_sum_to_one(random_split) -> None:
    pairs = random_split()
    kept = pairs.keep(np.arange(pairs.num_pairs) % 3 > 0)
    for some in (pairs, kept):
        totals = np.bincount(some.current, some.weights)[some.cells]
        np.testing.assert_allclose(totals, 1)


def test_held_out_next_cells_are_not_fitted(random_split) -> None:
    fitted, held_out = random_split().hold_out(0.2, np.random.default_rng(0))
    assert not set(fitted.following) & set(held_out.following)
    assert fitted.num_pairs + held_out.num_pairs == random_split().num_pairs


def test_one_next_cell_is_too_few_to_hold_one_out(split_of) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        split_of([[5], [6]], {0: {1: 1.0}}).hold_out(0.2, np.random.default_rng(0))


def test_a_split_without_successors_cannot_be_scored(split_of) -> None:
    with pytest.raises(ValueError, match="no cell of this split has a successor"):
        split_of([[5], [6]], {})


def test_drawn_cells_keep_all_their_successors(random_split) -> None:
    pairs = random_split()
    drawn = pairs.draw_cells(10, np.random.default_rng(0))
    assert len(drawn.cells) == 10
    assert drawn.num_pairs == np.isin(pairs.current, drawn.cells).sum()
    assert pairs.draw_cells(1000, np.random.default_rng(0)) is pairs


def test_the_selection_policy_of_training_makes_the_next_cell(split_of) -> None:
    pairs = split_of([[5, 6, 7], [9, 6]], {0: {1: 1.0}})
    (union,) = replace(pairs, policy="union").targets()
    (common,) = replace(pairs, policy="intersection").targets()
    assert union.next_cells[0].tolist() == [9, 6, 5, 7]
    assert common.next_cells[0].tolist() == [6]


def test_cached_cells_are_encoded_once_and_only_as_many_as_fit(random_split) -> None:
    pairs, asked = random_split(), []

    def encode(cell: int) -> np.ndarray:
        asked.append(cell)
        return pairs.encode(cell)

    def as_lists(some) -> list:
        return [(t.cell, t.context.tolist(), [n.tolist() for n in t.next_cells]) for t in some]

    counted = replace(pairs, encode=encode)
    for room, most in ((2**20, 1), (0, 10)):
        asked.clear()
        cached = counted.cached(room)
        for _ in range(2):
            assert as_lists(cached.targets()) == as_lists(pairs.targets())
        assert np.bincount(asked).max() <= most
        assert (np.bincount(asked).max() == 1) == (most == 1)


def test_means_of_successors_are_weighted(split_of) -> None:
    pairs = split_of([[5], [6], [7]], {0: {1: 3.0, 2: 1.0}, 1: {2: 1.0}})
    places = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 8.0]])
    ends = pairs.mean_of_successors(places[pairs.following])
    np.testing.assert_allclose(ends, [[3, 2], [0, 8]])
