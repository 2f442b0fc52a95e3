"""Recall counts the largest exact effects among the verified, of either sign."""

import numpy as np
import pytest

from bionemo.geneformer_t.perturbation.screen_recall import screen_recall


def test_recall_is_the_fraction_of_the_largest_that_are_verified() -> None:
    exact = np.array([[5.0, 1.0], [-4.0, 2.0], [3.0, -3.0], [1.0, 4.0], [0.5, 5.0]])
    estimates = exact.copy()
    estimates[0, 0] = 0.1  # the largest of the first readout is missed
    found = screen_recall(estimates, exact, verified=2, largest=2)
    np.testing.assert_array_equal(found.recall, [0.5, 1.0])
    assert screen_recall(estimates, exact, verified=5, largest=2).recall.tolist() == [1.0, 1.0]
    assert "only 0.50 for Beta; below 0.95" in found.sentence(["Beta", "Alpha"])
    good = screen_recall(exact, exact, verified=3, largest=2).sentence(["Beta", "Alpha"])
    assert "the 3 that a screen verifies hold at least 1.00 for every readout" in good
    all_verified = screen_recall(exact, exact, verified=5, largest=2).sentence(["Beta", "Alpha"])
    assert "measured here: it verifies each of the 5 with an effect in the sample" in all_verified


def test_targets_that_are_not_ranked_do_not_count() -> None:
    exact = np.array([[5.0], [np.nan], [1.0]])
    found = screen_recall(exact, exact, verified=2, largest=2)
    assert (found.targets, found.recall.tolist()) == (2, [1.0])
    assert screen_recall(exact, exact, verified=20).largest == 2


def test_what_cannot_be_compared_is_refused() -> None:
    exact = np.ones((3, 1))
    with pytest.raises(ValueError, match="verifies 5 targets cannot find the 20"):
        screen_recall(exact, exact, verified=5)
    missing = np.array([[1.0], [np.nan], [1.0]])
    with pytest.raises(ValueError, match="1 of 3 targets"):
        screen_recall(missing, exact, verified=20)
    with pytest.raises(ValueError, match="none of the 3 targets"):
        screen_recall(exact * np.nan, exact * np.nan, verified=20)
