"""Winsorised moments: SciPy's winsorising, right for normal values, deaf to one extreme value."""

import numpy as np
import pytest
from scipy.stats.mstats import winsorize

from bionemo.geneformer_t.perturbation.winsorised import winsorised_moments

RNG = np.random.default_rng(0)


def test_moments_are_those_of_winsorised_values() -> None:
    values = RNG.standard_t(3, (6, 100, 2)) + 4
    mean, sd = winsorised_moments(values)
    clipped = np.asarray(winsorize(values, limits=(0.05, 0.05), axis=1))
    np.testing.assert_allclose(mean, clipped.mean(axis=1), rtol=1e-12)
    # a standard normal value that is cut at 1.645 on both sides has a standard deviation of 0.8935
    cut = np.clip(RNG.standard_normal(4_000_000), -1.6448536, 1.6448536).std()
    np.testing.assert_allclose(sd, clipped.std(axis=1, ddof=1) / cut, rtol=2e-3)


def test_the_standard_deviation_is_right_for_normal_values() -> None:
    _, sd = winsorised_moments(3 * RNG.standard_normal((2000, 100)))
    assert sd.mean() == pytest.approx(3, rel=0.01)


def test_one_extreme_value_changes_little() -> None:
    values = RNG.standard_normal((1, 100))
    mean, sd = winsorised_moments(values)
    values[0, 7] = 1000
    again = winsorised_moments(values)
    assert abs(again[0] - mean) < 0.05
    assert again[1] == pytest.approx(sd, rel=0.1)
    assert values.std() > 50


def test_missing_values_are_left_out() -> None:
    values = RNG.standard_normal((2, 50))
    with_gaps = np.insert(values, [0, 20, 50], np.nan, axis=1)
    np.testing.assert_allclose(winsorised_moments(with_gaps), winsorised_moments(values))
    few = np.full((3, 4), np.nan)
    few[1, 2], few[2, :2] = 1.0, (1.0, 3.0)
    mean, sd = winsorised_moments(few)
    np.testing.assert_allclose(mean, [np.nan, np.nan, 2.0])
    np.testing.assert_allclose(sd, [np.nan, np.nan, np.sqrt(2)])
