import numpy as np
import pytest
from scipy.stats import energy_distance, wasserstein_distance
from sklearn.metrics.pairwise import rbf_kernel

from bionemo.geneformer_t.evaluate.scores.population import median_bandwidth, population_distance


def distance(one, other, bandwidth=1.0):
    return population_distance(one, other, bandwidth, np.random.default_rng(0))


def test_on_a_line_the_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (2, 200, 1)) + np.array([0, 0.7])[:, None, None]
    found = distance(one, other)
    assert found.energy == pytest.approx(energy_distance(one[:, 0], other[:, 0]) ** 2)
    assert found.wasserstein == pytest.approx(wasserstein_distance(one[:, 0], other[:, 0]))


def test_the_mmd_is_that_of_scikit_learns_kernel() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (2, 50, 3)) + np.array([0, 0.5])[:, None, None]
    within, within_other, between = (
        rbf_kernel(a, b, gamma=1 / (2 * 1.5**2)).mean()
        for a, b in ((one, one), (other, other), (one, other))
    )
    assert distance(one, other, 1.5).mmd == pytest.approx(within + within_other - 2 * between)


def test_a_population_is_at_no_distance_from_itself_and_far_from_a_moved_one() -> None:
    points = np.random.default_rng(0).normal(size=(100, 4))
    same, moved = distance(points, points), distance(points, points + 3)
    assert same.wasserstein == 0
    assert same.energy == pytest.approx(0, abs=1e-9)
    assert moved.energy > 1
    assert moved.wasserstein == pytest.approx(6)  # the same step for every cell


def test_an_empty_population_is_refused() -> None:
    with pytest.raises(ValueError, match="populations of 3 and 0 cells"):
        distance(np.zeros((3, 2)), np.zeros((0, 2)))


def test_the_bandwidth_is_the_median_distance() -> None:
    points = np.array([[0.0], [1.0], [3.0]])
    assert median_bandwidth(points, np.random.default_rng(0)) == 2
