"""Folds hold current and next cells out together."""

import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs, split_in_folds


def test_what_is_held_out_is_in_no_pair_that_is_fitted(random_split) -> None:
    pairs = random_split(num_cells=100)
    folds = split_in_folds(pairs, np.random.default_rng(0))
    assert len(folds) == 5
    for fitted, held_out in folds:
        assert not set(fitted.current) & set(held_out.current)
        assert not set(fitted.following) & set(held_out.following)
        assert fitted.num_pairs > 0.3 * pairs.num_pairs
    held = np.concatenate([held_out.following for _, held_out in folds])
    assert len(np.unique(held)) == len(np.unique(pairs.following))


def test_where_each_cell_has_one_successor_of_its_own_nothing_is_lost(split_of) -> None:
    pairs = split_of([[5], [6]] * 20, {2 * i: {2 * i + 1: 1.0} for i in range(20)})
    for fitted, held_out in split_in_folds(pairs, np.random.default_rng(0)):
        assert fitted.num_pairs + held_out.num_pairs == pairs.num_pairs


def test_a_single_current_cell_has_its_next_cells_held_out(split_of) -> None:
    pairs = split_of([[5], [6], [7]], {0: {1: 1.0, 2: 1.0}})
    folds = split_in_folds(pairs, np.random.default_rng(0))
    assert len(folds) == 2
    for fitted, held_out in folds:
        assert not set(fitted.following) & set(held_out.following)


def test_at_least_two_next_cells_are_needed(split_of) -> None:
    with pytest.raises(ValueError, match="the training split has 1, and at least 2 are needed"):
        TrainingPairs.of(split_of([[5], [6]], {0: {1: 1.0}}), np.random.default_rng(0))
