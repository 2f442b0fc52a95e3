import numpy as np
import pytest
from scipy import stats

from bionemo.geneformer_t.evaluate.scores.expression_change import (
    cell_scores,
    highest,
    overlaps,
    pearson,
    same_directions,
    spearman,
)


@pytest.fixture
def profiles():
    rng = np.random.default_rng(0)
    current, following = rng.random((2, 12, 40)) * (rng.random((2, 12, 40)) < 0.7)
    return current, following


def test_a_perfect_prediction_scores_one_everywhere(profiles) -> None:
    current, following = profiles
    scores = cell_scores(following, current, following)
    for values in (scores.spearman, scores.delta_pearson, scores.delta_spearman,
                   *scores.overlap.values(), *scores.precision.values(),
                   *scores.direction.values()):  # fmt: skip
        np.testing.assert_allclose(values, 1)


def test_copying_predicts_no_change(profiles) -> None:
    current, following = profiles
    scores = cell_scores(current, current, following)
    assert np.isnan(scores.delta_pearson).all()
    assert np.isnan(scores.delta_spearman).all()
    for k in scores.direction:
        np.testing.assert_array_equal(scores.direction[k], 0)


def test_the_opposite_change_scores_minus_one(profiles) -> None:
    current, following = profiles
    scores = cell_scores(2 * current - following, current, following)
    np.testing.assert_allclose(scores.delta_pearson, -1)
    np.testing.assert_allclose(scores.delta_spearman, -1)


def test_predictions_of_other_cells_are_worth_less(profiles) -> None:
    current, following = profiles
    permuted = cell_scores(np.roll(following, 1, axis=0), current, following)
    assert permuted.delta_pearson.mean() < 0.9
    assert permuted.overlap[50].mean() <= 1


def test_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 5, (2, 30)).astype(float)
    assert pearson(one, other) == pytest.approx(stats.pearsonr(one, other).statistic)
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert np.isnan(pearson(one, np.ones(30)))


def test_overlap_and_direction_count_by_hand() -> None:
    one = np.array([[5.0, 4, 3, 0, 0]])
    other = np.array([[5.0, 0, 3, 4, 0]])
    found = overlaps(one, other, (2, 50))
    assert found[2].tolist() == [0.5]
    assert found[50].tolist() == [2 / 3]  # the other has three genes
    signs = same_directions(np.array([[1.0, 1, -1]]), np.array([[3.0, -2, -1]]), (2,))
    assert signs[2].tolist() == [0.5]
    assert np.isnan(overlaps(one, np.zeros((1, 5)), (3,))[3]).all()


@pytest.mark.parametrize("number", [0, 1, 7, 40, 41])
def test_the_highest_are_those_of_a_stable_sort(number: int) -> None:
    values = np.random.default_rng(0).integers(0, 6, 40).astype(float)
    expected = np.argsort(-values, kind="stable")[:number]
    np.testing.assert_array_equal(highest(values, number), expected)
