import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.scores.step_direction import cosines, direction_scores, time_of


@pytest.fixture
def steps():
    rng = np.random.default_rng(0)
    current = rng.normal(size=(20, 3))
    return current, current + rng.normal(size=(20, 3))


def test_a_perfect_prediction_is_closer_and_points_the_same_way(steps) -> None:
    current, following = steps
    scores = direction_scores(following, current, following)
    assert (scores.closer == 1).all()
    np.testing.assert_allclose(scores.cosine, 1)
    assert np.isnan(scores.time_sign).all()
    assert np.isnan(scores.boundary_cosine).all()


def test_staying_is_no_closer_and_has_no_direction(steps) -> None:
    current, following = steps
    scores = direction_scores(current, current, following)
    assert (scores.closer == 0).all()
    assert np.isnan(scores.cosine).all()


def test_the_opposite_step_points_the_other_way(steps) -> None:
    current, following = steps
    scores = direction_scores(2 * current - following, current, following)
    np.testing.assert_allclose(scores.cosine, -1)
    assert (scores.closer == 0).all()


def test_time_signs_agree_by_hand_and_boundaries_are_chosen(steps) -> None:
    current, following = steps
    truth = np.array([1.0, -1.0, 0.0, np.nan] * 5)
    predicted = np.array([2.0, 2.0, 2.0, 2.0] * 5)
    crosses = np.arange(20) % 2 == 0
    scores = direction_scores(
        following, current, following,
        time_step=truth, predicted_time_step=predicted, crosses=crosses,
    )  # fmt: skip
    np.testing.assert_array_equal(scores.time_sign[:4], [1, 0, np.nan, np.nan])
    assert np.isfinite(scores.boundary_cosine).tolist() == crosses.tolist()


def test_a_point_has_the_time_of_the_cells_around_it() -> None:
    reference = np.repeat([[0.0], [10.0]], 20, axis=0)
    times = np.repeat([1.0, 5.0], 20)
    times[0] = np.nan
    assert time_of(np.array([[0.1], [9.0]]), reference, times).tolist() == [1, 5]


def test_a_cosine_with_nothing_is_undefined() -> None:
    assert np.isnan(cosines(np.zeros((1, 2)), np.ones((1, 2)))).all()
