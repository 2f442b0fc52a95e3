from dataclasses import replace

import numpy as np
import pytest
import torch

from bionemo.geneformer_t.inference.gap_between import (
    GapEstimates,
    fit_sharpness,
    gap_scores,
    gaps_between,
    grid_of,
    posterior,
    prior_of,
)
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.model.time_gap import TrainedGaps
from bionemo.geneformer_t.ragged import Ragged

FEW = TrainedGaps.of(np.array([1.0, 1.0, 1.0, 4.0]), key="day", unit="days", days=1.0)


@pytest.fixture
def told(model, vocab) -> TemporalGeneformerModel:
    """The same sizes with time gaps, of which it knows something."""
    torch.manual_seed(0)
    told = TemporalGeneformerModel(replace(model.config, time_gaps=True))
    told.adopt(vocab, model.pair_settings)
    told.time_gaps = FEW
    assert told.net.time_gap is not None
    torch.nn.init.normal_(told.net.time_gap.weight, std=0.05)
    told.net.time_gap.set_range(1.0, 4.0)
    return told.eval()


def cells(vocab) -> tuple[Ragged, Ragged]:
    genes = vocab.gene_ids
    return Ragged.of([genes[:5], genes[3:12]]), Ragged.of([genes[2:9], genes[1:4]])


def test_scores_are_sums_of_the_log_probabilities_of_the_later_cells_genes(told, vocab) -> None:
    current, later = cells(vocab)
    grid = np.array([1.0, 2.0, 4.0])
    scores = gap_scores(told, current, later, grid)
    for pair, genes in enumerate(later.rows()):
        one = current.take(np.array([pair]))
        tables = told.gap_distributions(one, len(genes), grid)[0].cpu().numpy()
        expected = tables[:, np.arange(len(genes)), genes].sum(axis=1)
        np.testing.assert_allclose(scores[pair], expected, rtol=1e-5)
    assert np.ptp(scores, axis=1).min() > 0.01


def test_several_gaps_at_once_are_those_one_by_one_and_nan_is_none(told, vocab) -> None:
    current, _ = cells(vocab)
    gaps = np.array([1.0, 3.0, np.nan])
    together = told.gap_distributions(current, 4, gaps)
    assert together.shape == (2, 3, 4, len(vocab) + 7)
    for place, gap in enumerate(gaps):
        alone = told.gap_distributions(current, 4, np.array([gap]))[:, 0]
        torch.testing.assert_close(together[:, place], alone, rtol=1e-5, atol=1e-5)
    without = told.rank_distributions(current, 4, use_memory=False)
    torch.testing.assert_close(together[:, 2], without, rtol=1e-5, atol=1e-5)


def test_a_grid_has_the_gaps_of_training_where_they_are_few() -> None:
    grid = grid_of(FEW)
    assert grid[0] == 1.0
    assert grid[-1] == 4.0
    assert len(grid) <= 33
    many = TrainedGaps.of(np.linspace(0.1, 10, 500), key="t", unit="t", days=None)
    np.testing.assert_allclose(np.diff(np.log(grid_of(many))), np.log(100) / 32)


def test_the_prior_is_how_often_training_drew_a_gap() -> None:
    grid = np.array([1.0, 4.0])
    trained = TrainedGaps(
        key="day", unit="days", days=1.0, quantiles=np.array([1.0] * 75 + [4.0] * 25)
    )
    np.testing.assert_allclose(prior_of(trained, grid), [0.95 * 0.75 + 0.025, 0.95 * 0.25 + 0.025])


def test_the_posterior_is_bayes_rule_with_a_tempered_likelihood() -> None:
    scores, prior = np.array([[-10.0, -12.0]]), np.array([0.25, 0.75])
    weights = prior * np.exp(0.5 * scores[0])
    np.testing.assert_allclose(posterior(scores, prior, 0.5)[0], weights / weights.sum())


def test_estimates_are_points_of_the_grid() -> None:
    found = GapEstimates(
        grid=np.array([1.0, 2.0, 4.0]),
        probabilities=np.array([[0.02, 0.5, 0.48], [0.3, 0.3, 0.4]]),
        unit="days",
    )
    np.testing.assert_array_equal(found.most_probable, [2.0, 4.0])
    np.testing.assert_array_equal(found.median, [2.0, 2.0])
    np.testing.assert_array_equal(found.quantile(0.025), [2.0, 1.0])
    np.testing.assert_array_equal(found.quantile(0.975), [4.0, 4.0])


def test_sharpness_is_low_where_scores_say_nothing_and_high_where_they_are_right() -> None:
    rng = np.random.default_rng(0)
    grid = np.array([1.0, 2.0, 4.0])
    truth = rng.integers(3, size=200)
    right = np.full((200, 3), -5.0)
    right[np.arange(200), truth] = 0.0
    prior = np.full(3, 1 / 3)
    assert fit_sharpness(right, prior, grid, grid[truth]) == 1.0
    noise = rng.normal(0, 20, (200, 3))
    assert fit_sharpness(noise, prior, grid, grid[truth]) == 0.01


def test_empty_cells_and_uneven_pairs_are_refused(told, vocab) -> None:
    current, later = cells(vocab)
    with pytest.raises(ValueError, match="needs one later cell; got 2 and 1"):
        gaps_between(told, current, later.take(np.array([0])))
    empty = Ragged.of([vocab.gene_ids[:0], vocab.gene_ids[:3]])
    with pytest.raises(ValueError, match="1 cells have no gene"):
        gaps_between(told, current, empty)
