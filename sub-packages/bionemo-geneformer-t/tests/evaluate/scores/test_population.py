import numpy as np
import pytest
from scipy.stats import energy_distance, wasserstein_distance
from sklearn.metrics.pairwise import rbf_kernel

from bionemo.geneformer_t.evaluate.scores.population import (
    DISTANCES,
    median_bandwidth,
    two_sample_distances,
    wasserstein,
)


def distance(one, other, bandwidth=1.0):
    return dict(zip(DISTANCES, two_sample_distances(one, other, bandwidth).values, strict=True))


def test_on_a_line_the_wasserstein_distance_is_that_of_scipy_and_energy_that_without_itself() -> (
    None
):
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (2, 200, 1)) + np.array([0, 0.7])[:, None, None]
    found = distance(one, other)
    assert found["wasserstein"] == pytest.approx(wasserstein_distance(one[:, 0], other[:, 0]))
    # scipy also compares each cell with itself: means over n^2 pairs instead of n (n - 1)
    itself = sum(
        np.abs(some - some.T).sum() * (1 / (200 * 199) - 1 / 200**2) for some in (one, other)
    )
    theirs = energy_distance(one[:, 0], other[:, 0]) ** 2
    assert found["energy"] == pytest.approx(theirs - itself)


def test_the_mmd_is_that_of_scikit_learns_kernel() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (2, 50, 3)) + np.array([0, 0.5])[:, None, None]
    kernels = (rbf_kernel(a, b, gamma=1 / (2 * 1.5**2)) for a, b in ((one, one), (other, other)))
    within = sum((kernel.sum() - 50) / (50 * 49) for kernel in kernels)
    between = rbf_kernel(one, other, gamma=1 / (2 * 1.5**2)).mean()
    assert distance(one, other, 1.5)["mmd"] == pytest.approx(within - 2 * between)


def test_energy_and_mmd_have_the_right_means_at_any_number_of_cells() -> None:
    """The mean over samples is that of the populations: 0 for one, the analytic value for two.

    For Gaussians with means d apart in p dimensions and a kernel of width s, the squared MMD is
    2 (s^2 / (s^2 + 2))^(p / 2) (1 - exp(-d^2 / (2 (s^2 + 2)))) (Gretton et al. 2012).
    """
    rng, axes, shift, width = np.random.default_rng(0), 3, 1.5, 1.3
    for moved, mmd in (
        (0.0, 0.0),
        (
            shift,
            2 * (width**2 / (width**2 + 2)) ** (axes / 2)
            * -np.expm1(-(shift**2) / (2 * (width**2 + 2))),
        ),
    ):  # fmt: skip
        for number in (5, 20):
            found = np.array([
                two_sample_distances(
                    rng.normal(size=(number, axes)),
                    rng.normal(size=(number, axes)) + moved * np.eye(axes)[0],
                    width,
                ).values
                for _ in range(400)
            ])  # fmt: skip
            mean, error = found.mean(axis=0), found.std(axis=0) / np.sqrt(len(found))
            assert abs(mean[2] - mmd) < 4 * error[2]
            if not moved:
                assert abs(mean[0]) < 4 * error[0]
                assert (found[:, 0] < 0).mean() > 0.3  # a single one may be negative
                assert mean[1] > 10 * error[1]  # the Wasserstein distance is biased upwards


def test_influences_are_what_each_point_changes() -> None:
    """A distance of two samples, in each of which one point gets a little more weight."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(40, 3)), rng.normal(0.5, 1, size=(40, 3))
    found = two_sample_distances(one, other, 1.5)
    for influences in (found.of_one, found.of_other):
        np.testing.assert_allclose(influences.sum(axis=0), 0, atol=1e-9)
    value = found.values
    for row in range(5):
        without = two_sample_distances(np.delete(one, row, 0), np.delete(other, row, 0), 1.5).values
        # both samples lose one point, the first order of the change
        expected = -(found.of_one[row] + found.of_other[row]) / 39
        for column in (0, 2):
            assert without[column] - value[column] == pytest.approx(expected[column], abs=0.02)


def test_potentials_solve_the_dual_problem() -> None:
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(0)
    between = cdist(rng.normal(size=(60, 4)), rng.normal(0.3, 1, size=(60, 4)))
    value, of_rows, of_columns = wasserstein(between)
    assert of_rows.mean() + of_columns.mean() == pytest.approx(value)
    assert (of_rows[:, None] + of_columns <= between + 1e-6).all()


def test_a_population_is_far_from_a_moved_one() -> None:
    points = np.random.default_rng(0).normal(size=(100, 4))
    same, moved = distance(points, points), distance(points, points + 3)
    assert same["wasserstein"] == 0
    assert moved["energy"] > 1
    assert moved["wasserstein"] == pytest.approx(6)  # the same step for every cell


@pytest.mark.parametrize("sizes", [(3, 0), (1, 1), (3, 4)])
def test_unequal_or_single_cells_are_refused(sizes) -> None:
    with pytest.raises(ValueError, match=f"populations of {sizes[0]} and {sizes[1]} cells"):
        distance(*(np.zeros((size, 2)) for size in sizes))


def test_the_bandwidth_is_the_median_distance() -> None:
    points = np.array([[0.0], [1.0], [3.0]])
    assert median_bandwidth(points, np.random.default_rng(0)) == 2
