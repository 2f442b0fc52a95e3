"""What holds for every baseline, and what each is for."""

import numpy as np
import pytest
from scored import score_tokens

from bionemo.geneformer_t.evaluate.baselines.copy_current import FLOORS, fit_copy_current
from bionemo.geneformer_t.evaluate.baselines.copy_with_frequencies import (
    fit_copy_with_frequencies,
)
from bionemo.geneformer_t.evaluate.baselines.knn_successors import fit_knn_successors
from bionemo.geneformer_t.evaluate.baselines.mean_change import fit_mean_change
from bionemo.geneformer_t.evaluate.baselines.rank_counts import (
    SparseCounts,
    count_ranks,
    fit_frequencies,
    smooth,
)
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import fit_rank_frequency
from bionemo.geneformer_t.evaluate.baselines.ridge import fit_ridge
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation import BASELINES


@pytest.mark.parametrize("fit", BASELINES.values(), ids=BASELINES)
def test_every_row_is_a_distribution_over_genes(fit, random_split, fitted) -> None:
    pairs = random_split()
    predictor = fitted(fit, pairs)
    contexts = [np.array([5, 6, 7]), np.array([24]), np.array([], dtype=np.int64)]
    probabilities = np.exp(predictor(contexts, pairs.max_genes).astype(np.float64))
    assert probabilities.shape == (3, pairs.max_genes, 25)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
    assert (probabilities[..., :5] == 0).all()
    assert (probabilities[..., 5:] > 0).all()


@pytest.mark.parametrize("fit", BASELINES.values(), ids=BASELINES)
@pytest.mark.slow
def test_the_same_generator_gives_the_same_baseline(fit, random_split, fitted) -> None:
    pairs, contexts = random_split(), [np.array([5, 6])]
    one, two = (fitted(fit, pairs, 3)(contexts, 4) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_frequencies_are_tuned_once_and_handed_to_every_baseline(random_split) -> None:
    generator = np.random.default_rng(0)
    training = TrainingPairs.of(random_split(), generator)
    assert fit_rank_frequency(training, generator) is training.frequencies
    assert fit_knn_successors(training, generator).frequencies is training.frequencies
    for fit in (fit_copy_with_frequencies, fit_mean_change, fit_ridge):
        assert fit(training, generator).rest is training.frequencies.table
    width, mix = training.frequencies.width, training.frequencies.mix
    for fold in training.folds:
        table = fit_frequencies(fold.fitted, width, mix).table
        for cell in fold.held_out:
            np.testing.assert_allclose(cell.frequency, table[cell.ranks, cell.genes], rtol=1e-4)


def test_some_positions_are_smoothed_as_all_are(random_split) -> None:
    pairs, rng = random_split(), np.random.default_rng(0)
    ranks, genes = rng.integers(pairs.max_genes, size=50), rng.choice(pairs.gene_ids, 50)
    for width in (0.25, 2.0):
        found = SparseCounts.of(pairs).parts_at(ranks, genes, width, pairs.gene_ids)
        expected = smooth(count_ranks(pairs), width)[ranks, genes]
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4, atol=1e-7)


def test_frequencies_find_what_all_cells_share(split_of, fitted) -> None:
    cells = [[5, 6, 7, 8]] * 30
    pairs = split_of(cells, {i: {i + 1: 1.0} for i in range(29)})
    frequencies = fitted(fit_rank_frequency, pairs)
    assert score_tokens(frequencies, pairs).all.scores.cross_entropy < 0.05
    assert frequencies.width == 0.25


def test_counts_are_weighted_by_the_share_of_the_pair(split_of) -> None:
    pairs = split_of([[5], [6, 7], [8]], {0: {1: 3.0, 2: 1.0}})
    counts = count_ranks(pairs)
    assert (counts[0, 6], counts[1, 7], counts[0, 8]) == (0.75, 0.75, 0.25)


def test_smoothing_keeps_distributions_and_reaches_ranks_without_counts() -> None:
    counts = np.zeros((200, 10), dtype=np.float32)
    counts[0, 3], counts[1, 4] = 2, 1
    for width in (1.0, 50.0):
        np.testing.assert_allclose(smooth(counts, width).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(smooth(counts, 1.0)[-1, [3, 4]], [2 / 3, 1 / 3], rtol=1e-5)
    assert smooth(counts, 0.1)[0, 3] == pytest.approx(1)


def test_copying_wins_where_cells_repeat(random_split, fitted) -> None:
    train, test = random_split(0, copy=0.9), random_split(1, copy=0.9)
    copying, mixed = (fitted(fit, train) for fit in (fit_copy_current, fit_copy_with_frequencies))
    frequencies = fitted(fit_rank_frequency, train)
    assert mixed.fraction > 0.5
    counted = score_tokens(frequencies, test).all.scores
    for copied in (score_tokens(p, test).all.scores for p in (copying, mixed)):
        assert copied.cross_entropy < counted.cross_entropy - 0.5
        assert copied.top1 > 0.5


def test_the_copy_stays_a_copy_where_cells_are_unrelated(random_split, fitted) -> None:
    """It cannot turn into a guess, as its mixture with frequencies does."""
    train, test = random_split(0, num_cells=300), random_split(1, num_cells=100)
    copying, mixed, frequencies = (
        fitted(fit, train)
        for fit in (fit_copy_current, fit_copy_with_frequencies, fit_rank_frequency)
    )
    of_copy, of_mixture, counted = (
        score_tokens(p, test).all.scores.cross_entropy for p in (copying, mixed, frequencies)
    )
    assert of_mixture < counted + 0.05
    assert copying.fraction == 1 - max(FLOORS)
    assert of_copy > counted + 0.1
    at = np.exp(copying([np.array([5, 6, 7, 8, 9, 10])], 6)[0])
    np.testing.assert_allclose(at[:, 5:11].sum(axis=1), 0.9 + 0.1 * 6 / 20, rtol=1e-5)


@pytest.fixture
def two_fates(split_of):
    """Cells of two kinds; the next cell of each kind has four genes of its own, in any order."""
    starts, ends = ([5, 6, 7, 8], [15, 16, 17, 18]), ([9, 10, 11, 12], [19, 20, 21, 22])

    def build(seed: int):
        rng = np.random.default_rng(seed)
        kinds = [genes for start, end in zip(starts, ends, strict=True) for genes in (start, end)]
        cells = [rng.permutation(genes).tolist() for _ in range(40) for genes in kinds]
        return split_of(cells, {i: {i + 1: 1.0} for i in range(0, len(cells), 2)})

    return build


@pytest.mark.parametrize("fit", [fit_knn_successors, fit_ridge], ids=["similar", "ridge"])
def test_baselines_that_see_the_current_cell_tell_fates_apart(fit, two_fates, fitted) -> None:
    train, test = two_fates(0), two_fates(1)
    told_apart, counted = (
        score_tokens(fitted(f, train), test).all.scores for f in (fit, fit_rank_frequency)
    )
    # knowing the kind is worth log 2 = 0.69; what is tuned on few cells gives some of it away
    assert told_apart.cross_entropy < counted.cross_entropy - 0.4


def test_the_mean_change_brings_in_what_all_cells_turn_on(split_of, fitted) -> None:
    rng = np.random.default_rng(0)
    cells, edges = [], {}
    for i in range(60):
        own = rng.permutation(np.arange(7, 25))[:3].tolist()
        cells += [[*own, 5], [6, *own]]  # gene 5 goes, gene 6 comes first, the others stay
        edges[2 * i] = {2 * i + 1: 1.0}
    pairs = split_of(cells, edges)
    changed = fitted(fit_mean_change, pairs)
    assert changed.order(np.array([10, 11, 12, 5]))[:4].tolist() == [6, 10, 11, 12]
    copied = fitted(fit_copy_with_frequencies, pairs)
    mine, theirs = (score_tokens(p, pairs).all.scores.cross_entropy for p in (changed, copied))
    assert mine < theirs - 0.3
