"""What holds for every baseline, and what each is for."""

import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.baselines.copy_current import fit_copy_current
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import (
    count_ranks,
    fit_rank_frequency,
    smooth,
)
from bionemo.geneformer_t.evaluate.evaluation import BASELINES
from bionemo.geneformer_t.evaluate.tokens import score_tokens


@pytest.mark.parametrize("fit", BASELINES.values(), ids=BASELINES)
def test_every_row_is_a_distribution_over_genes(fit, random_split) -> None:
    pairs = random_split()
    predictor = fit(pairs, np.random.default_rng(0))
    contexts = [np.array([5, 6, 7]), np.array([24]), np.array([], dtype=np.int64)]
    probabilities = np.exp(predictor(contexts, pairs.max_genes).astype(np.float64))
    assert probabilities.shape == (3, pairs.max_genes, 25)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
    assert (probabilities[..., :5] == 0).all()
    assert (probabilities[..., 5:] > 0).all()


@pytest.mark.parametrize("fit", BASELINES.values(), ids=BASELINES)
def test_the_same_generator_gives_the_same_baseline(fit, random_split) -> None:
    pairs, contexts = random_split(), [np.array([5, 6])]
    one, two = (fit(pairs, np.random.default_rng(3))(contexts, 4) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_frequencies_find_what_all_cells_share(split_of) -> None:
    cells = [[5, 6, 7, 8]] * 30
    pairs = split_of(cells, {i: {i + 1: 1.0} for i in range(29)})
    fitted = fit_rank_frequency(pairs, np.random.default_rng(0))
    assert score_tokens(fitted, pairs).all.scores.cross_entropy < 0.05
    assert fitted.width == 0.25


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


def test_copying_wins_where_cells_repeat(random_split) -> None:
    train, test = random_split(0, copy=0.9), random_split(1, copy=0.9)
    copying = fit_copy_current(train, np.random.default_rng(0))
    frequencies = fit_rank_frequency(train, np.random.default_rng(0))
    assert copying.share > 0.5
    copied, counted = (score_tokens(p, test).all.scores for p in (copying, frequencies))
    assert copied.cross_entropy < counted.cross_entropy - 0.5
    assert copied.top1 > 0.5


def test_copying_falls_back_on_frequencies_where_cells_are_unrelated(random_split) -> None:
    train, test = random_split(0, num_cells=300), random_split(1, num_cells=100)
    copying = fit_copy_current(train, np.random.default_rng(0))
    frequencies = fit_rank_frequency(train, np.random.default_rng(0))
    copied, counted = (score_tokens(p, test).all.scores for p in (copying, frequencies))
    assert copied.cross_entropy < counted.cross_entropy + 0.05
