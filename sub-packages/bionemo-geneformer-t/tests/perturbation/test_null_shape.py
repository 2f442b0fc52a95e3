"""The null's shape: p-values are right for known distributions, and drivers do not change it."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control, laplace, norm, t

from bionemo.geneformer_t.perturbation.null_shape import NullShape, null_counts

RNG = np.random.default_rng(0)
MANY = 200_000


@pytest.mark.parametrize(
    ("distribution", "size"), [(norm(), 4.5), (laplace(scale=2**-0.5), 8.0), (t(5), 12.0)]
)
def test_p_values_are_those_of_the_distribution_that_the_null_has(distribution, size) -> None:
    values = distribution.rvs(MANY, random_state=RNG)
    shape = NullShape.fit(null_counts(values))
    asked = np.array([-1.0, 2.0, size])
    # the tail is beyond all values that count, so that it is known up to a factor
    np.testing.assert_allclose(shape.p_values(asked[:2]), 2 * distribution.sf([1, 2]), rtol=0.05)
    assert shape.p_values(asked[2:])[0] == pytest.approx(2 * distribution.sf(size), rel=0.7)


def test_drivers_do_not_widen_the_null() -> None:
    values = RNG.standard_normal(2000)
    values[:60] = 50
    shape = NullShape.fit(null_counts(values))
    assert shape.p_values(np.array([2.0]))[0] < 0.1  # 0.046 without them, 0.8 by their spread
    assert (false_discovery_control(shape.p_values(values)) < 0.05)[:60].all()
    assert values.std() > 8


def test_few_genes_say_little_of_the_shape() -> None:
    values, asked = RNG.standard_normal(MANY), np.array([6.0])
    p_values = [
        float(NullShape.fit(null_counts(values) * number / MANY).p_values(asked)[0])
        for number in (MANY, 1000, 100, 20)
    ]
    assert p_values == sorted(p_values)
    assert p_values[0] < 1e-7
    assert p_values[-1] > 1e-3


def test_p_values_fall_with_size_and_have_no_sign() -> None:
    shape = NullShape.fit(null_counts(RNG.standard_t(4, 500)))
    sizes = np.concatenate([np.linspace(0, 20, 50), [1e6]])
    found = shape.p_values(sizes)
    assert found[0] == pytest.approx(1)
    assert (np.diff(found) < 0).all()
    np.testing.assert_array_equal(found, shape.p_values(-sizes))
    assert np.isnan(shape.p_values(np.array([np.nan]))[0])
    assert shape.heaviness == shape.p_values(np.array([4.0]))[0]


def test_values_are_counted_once_by_size_without_gaps() -> None:
    counts = null_counts(np.array([[0.01, -0.01, np.nan], [-3.0, 200.0, 5.9]]))
    assert counts.sum() == 5
    assert counts[0] == 2
    assert counts[-1] == 1
