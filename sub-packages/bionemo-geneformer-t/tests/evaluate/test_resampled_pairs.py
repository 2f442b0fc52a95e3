"""Draws are chosen where counts vary as they do, and not where they vary more."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from scored import score_tokens
from small_splits import own_cache_place, vocab, write_split

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.resampling import CellResampler
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.evaluate.baselines.knn_successors import (
    fit_knn_drawn,
    fit_knn_successors,
)
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.resampled_pairs import (
    compare_resampling,
    redrawing,
    resampled,
)
from bionemo.geneformer_t.vocab import GeneVocab

__all__ = ["own_cache_place", "vocab", "write_split"]
NUM_CELLS, NUM_GENES = 100, 2000


@pytest.fixture
def dataset(write_split: Callable[..., Path]) -> Callable[[np.ndarray], TemporalGeneformerDataset]:
    """A function that makes a dataset of cells, each followed by the next two."""
    known = GeneVocab.of_genes({f"g{i}": 1.0 for i in range(NUM_GENES)}, {})

    numbers = count()

    def make(counts: np.ndarray) -> TemporalGeneformerDataset:
        counts[:, 0] += 1  # no cell is empty
        cells = range(NUM_CELLS - 2)
        graph = {f"c{i}": [f"c{i + 1}", f"c{i + 2}"] for i in cells}
        graphs = {"next_cell_ids": graph}
        folder = write_split(counts, neighbors=graphs, folder=f"split{next(numbers)}")
        settings = PairSettings(seq_length=2003)
        return TemporalGeneformerDataset.from_folder(folder, known, settings)

    return make


def means(rng: np.random.Generator) -> np.ndarray:
    """Expression that changes along the order of the cells."""
    time = np.linspace(0, 1, NUM_CELLS)[:, None]
    start, end = rng.gamma(0.5, 0.2, (2, NUM_GENES))
    return start * (1 - time) + end * time


@pytest.mark.slow
def test_shallow_poisson_counts_are_drawn_anew(
    dataset: Callable[[np.ndarray], TemporalGeneformerDataset],
) -> None:
    rng = np.random.default_rng(0)
    nats = compare_resampling(dataset(rng.poisson(means(rng))), rng)
    assert min(nats, key=nats.__getitem__) > 0


@pytest.mark.slow
def test_counts_of_genes_that_are_on_or_off_are_kept(
    dataset: Callable[[np.ndarray], TemporalGeneformerDataset],
) -> None:
    rng = np.random.default_rng(0)
    on = rng.random((NUM_CELLS, NUM_GENES)) < 0.3
    deep = rng.poisson(1 + 1000 * means(rng)) * on
    nats = compare_resampling(dataset(deep), rng)
    assert min(nats, key=nats.__getitem__) == 0
    assert set(nats) == {0, 10, 20, 40}


def test_each_pair_becomes_several_of_the_same_weight(
    dataset: Callable[[np.ndarray], TemporalGeneformerDataset],
) -> None:
    rng = np.random.default_rng(0)
    train = dataset(rng.poisson(means(rng)))
    pairs = CellPairs.from_dataset(train)
    drawn = resampled(pairs, CellResampler(train.tokens, np.arange(NUM_CELLS), 5), seed=1)
    assert drawn.num_pairs == 10 * pairs.num_pairs
    np.testing.assert_array_equal(drawn.cells, pairs.cells)
    for measured, target in zip(pairs.targets(), drawn.targets(), strict=True):
        np.testing.assert_array_equal(measured.context, target.context)
        assert sum(target.weights) == pytest.approx(1)
        assert len({genes.tobytes() for genes in target.next_cells[:10]}) == 10
    shared = np.intersect1d(
        drawn.following[drawn.current == 0], drawn.following[drawn.current == 1]
    )
    assert len(shared) == 10  # the draws of a cell are the same for all whom it follows


def test_held_out_next_cells_have_no_influence_on_what_is_drawn(
    dataset: Callable[[np.ndarray], TemporalGeneformerDataset],
) -> None:
    unseen, trained = np.arange(50, 60), PairSettings(resampling_neighbors=5)
    counts = np.random.default_rng(0).poisson(means(np.random.default_rng(1)))
    other = counts.copy()
    other[unseen] = other[unseen, ::-1]
    drawn = []
    for train in (dataset(counts), dataset(other)):
        redraw = redrawing(train, trained)
        assert redraw is not None
        pairs = CellPairs.from_dataset(train)
        fitted = pairs.keep(~np.isin(pairs.following, unseen))
        drawn.append([target.next_cells for target in redraw(fitted, unseen).targets()])
    for one, two in zip(*drawn, strict=True):
        for mine, theirs in zip(one, two, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_nothing_is_drawn_for_a_model_of_measured_cells(
    dataset: Callable[[np.ndarray], TemporalGeneformerDataset],
) -> None:
    train = dataset(np.ones((NUM_CELLS, NUM_GENES), dtype=int))
    assert redrawing(train, PairSettings()) is None


@pytest.mark.slow
def test_a_look_up_of_drawn_cells_predicts_shallow_cells_better_than_one_of_measured_cells(
    dataset: Callable[[np.ndarray], TemporalGeneformerDataset],
) -> None:
    rng = np.random.default_rng(0)
    expressed = means(rng)
    train, test = (dataset(rng.poisson(expressed)) for _ in range(2))
    redraw = redrawing(train, PairSettings(resampling_neighbors=20))
    training = TrainingPairs.of(CellPairs.from_dataset(train), rng, redraw)
    pairs = CellPairs.from_dataset(test).draw_cells(20, rng)
    measured, drawn = (
        score_tokens(fit(training, rng), pairs).all.scores.cross_entropy
        for fit in (fit_knn_successors, fit_knn_drawn)
    )
    assert drawn < measured - 0.01
