import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from bionemo.geneformer_t.evaluate.mixture import FLOOR, cross_entropy, mixture_weights


def test_the_weights_are_the_likeliest_ones() -> None:
    rng = np.random.default_rng(0)
    probabilities, weights = rng.random((500, 2)), rng.random(500)
    mix = mixture_weights(probabilities, weights, rounds=1000)
    best = minimize_scalar(
        lambda a: cross_entropy(probabilities, weights, np.array([a, 1 - a])), bounds=(0, 1)
    )
    assert mix[0] == pytest.approx(best.x, abs=1e-3)
    assert mix.sum() == pytest.approx(1)


def test_the_floor_of_the_last_component_stays() -> None:
    probabilities = np.tile([0.9, 0.5, 1e-9], (10, 1))
    mix = mixture_weights(probabilities, np.ones(10))
    assert mix[-1] == pytest.approx(FLOOR)
    assert mix.sum() == pytest.approx(1)


def test_a_round_is_the_textbook_one() -> None:
    """Each component takes its share of every position: responsibilities, then their mean."""
    rng = np.random.default_rng(1)
    probabilities, weights = rng.random((200, 3)) + 0.01, rng.random(200)
    mix = np.full(3, 1 / 3)
    for _ in range(100):
        shares = probabilities * mix
        shares /= shares.sum(axis=1, keepdims=True)
        mix = weights @ shares / weights.sum()
    np.testing.assert_allclose(mixture_weights(probabilities, weights), mix, rtol=1e-9)
