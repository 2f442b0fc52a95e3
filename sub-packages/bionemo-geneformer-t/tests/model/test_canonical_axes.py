"""What canonical axes say of two cells is a difference of normal log densities."""

import numpy as np
import pytest
import torch
from random_axes import random_axes
from scipy.stats import norm

from bionemo.geneformer_t.model.canonical_axes import CanonicalAxes
from bionemo.geneformer_t.ragged import Ragged

CELLS = Ragged.of([np.array([3, 1, 4]), np.array([5]), np.array([2, 6, 3, 1, 5])])


@pytest.fixture
def axes() -> CanonicalAxes:
    return random_axes(8, num_ranks=4)


def test_points_are_linear_in_normalised_ranks(axes) -> None:
    expected = 1.0 * axes.of_current[3] + 0.75 * axes.of_current[1] + 0.5 * axes.of_current[4]
    np.testing.assert_allclose(
        axes.expected(CELLS)[0], expected - axes.current_shift, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        axes.observed(CELLS)[1], axes.of_next[5] - axes.next_shift, rtol=1e-5, atol=1e-6
    )
    cut = Ragged.of([np.array([2, 6, 3, 1])])
    np.testing.assert_array_equal(axes.expected(CELLS)[2], axes.expected(cut)[0])


def test_tokens_of_another_vocabulary_are_not_read(axes) -> None:
    with pytest.raises(AssertionError):
        axes.observed(Ragged.of([np.array([3, 8])]))


def test_information_is_the_log_ratio_of_next_cells_after_this_cell_and_after_any(axes) -> None:
    """Back in units where both cells have variance 1: x and y, of correlation r."""
    expected, observed = axes.expected(CELLS), axes.observed(CELLS)
    r = axes.correlations.astype(np.float64)
    left = np.sqrt(1 - r**2)
    x, y = expected * left / r, observed * left
    after_it = norm.logpdf(y[None], loc=(r * x)[:, None], scale=left)
    after_any = norm.logpdf(y)
    wanted = (after_it - after_any[None]).sum(axis=-1)
    np.testing.assert_allclose(axes.information(expected, observed), wanted, rtol=1e-4, atol=1e-4)


def test_its_mean_over_cells_that_follow_is_the_mutual_information_of_the_axes() -> None:
    axes = random_axes(4, num_ranks=2, number=2)
    rng = np.random.default_rng(0)
    r = axes.correlations.astype(np.float64)
    x = rng.normal(size=(4_000, 2))
    y = r * x + np.sqrt(1 - r**2) * rng.normal(size=x.shape)
    left = np.sqrt(1 - r**2)
    of_pairs = [
        axes.information(r * a[None] / left, b[None] / left)[0, 0]
        for a, b in zip(x, y, strict=True)
    ]
    wanted = -0.5 * np.log(1 - r**2).sum()
    assert np.mean(of_pairs) == pytest.approx(wanted, abs=4 * np.std(of_pairs) / 4_000**0.5)


def test_they_are_carried_as_plain_values(axes, tmp_path) -> None:
    torch.save(axes.to_dict(), tmp_path / "axes.pt")
    again = CanonicalAxes.from_dict(torch.load(tmp_path / "axes.pt", weights_only=True))
    np.testing.assert_array_equal(again.expected(CELLS), axes.expected(CELLS))
    np.testing.assert_array_equal(again.observed(CELLS), axes.observed(CELLS))
    assert str(again) == "3 canonical axes with correlations from 0.80 to 0.30"
