"""Folds hold current and next cells out together, and the number of axes is found in them."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.evaluate.baselines.knn_successors import fit_knn_successors
from bionemo.geneformer_t.evaluate.baselines.ridge import fit_ridge
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs, split_in_folds
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.graph import NeighborGraph


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


def planted_axes(number: int, num_cells: int = 250, seed: int = 0) -> CellPairs:
    """Cells in `number` dimensions, with next cells at the same place, and 40 others besides.

    A cell ranks 40 of 120 genes by values that are linear in both. The others vary less, so that
    they are the axes after the first, and next cells have other places in them.
    """
    rng = np.random.default_rng(seed)
    loadings, others = np.split(np.random.default_rng(99).normal(size=(number + 40, 120)), [number])
    places = np.repeat(rng.normal(size=(num_cells, number)), 2, axis=0)
    values = places @ loadings + 0.6 * rng.normal(size=(2 * num_cells, 40)) @ others
    genes = [np.argsort(-row)[:40] + 5 for row in values]
    rows = 2 * np.arange(num_cells)
    size = 2 * num_cells
    graph, _ = NeighborGraph.from_matrix(
        sp.coo_array((np.ones(num_cells), (rows, rows + 1)), shape=(size, size))
    )
    return CellPairs.from_graph(
        graph, encode=genes.__getitem__, max_genes=40, gene_ids=np.arange(5, 125), vocab_size=125
    )


def test_ten_axes_are_found_where_ten_are_planted() -> None:
    """Or 20: the first axis of profiles, which are not centred, is the mean."""
    generator = np.random.default_rng(0)
    training = TrainingPairs.of(planted_axes(10), generator)
    assert fit_knn_successors(training, generator).chosen.space in {10, 20}
    ridge = fit_ridge(training, generator).order.__self__
    assert len(ridge.space.axes) in {10, 20}
