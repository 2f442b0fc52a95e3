"""Mixture weights that fit held-out genes best.

A baseline mixes a few distributions (smoothed frequencies, overall frequencies, uniform, the
current cell). The likelihood is concave in the weights, so expectation maximisation finds the best
ones: no grid, and no baseline made weak by a badly chosen constant.
"""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

T = TypeVar("T")

FLOOR = 1e-3
"""Least weight of the last, uniform component: a gene never seen in training stays possible."""


def mixture_weights(
    probabilities: Float[ndarray, "position component"],
    weights: Float[ndarray, " position"],
    *,
    rounds: int = 100,
) -> Float[ndarray, " component"]:
    """The weights of maximum likelihood on held-out genes.

    Args:
        probabilities: What each component gave the gene at each held-out position; the last
            component must be positive everywhere.
        weights: How much each position counts.
        rounds: Steps of expectation maximisation.

    Returns:
        Positive weights that sum to one, the last one at least `FLOOR`.
    """
    mix = np.full(probabilities.shape[1], 1 / probabilities.shape[1])
    by_component, weights = np.ascontiguousarray(probabilities.T), weights / weights.sum()
    for _ in range(rounds):
        # the responsibility of a component for a position is mix * probability / total
        mix = mix * (by_component @ (weights / (mix @ by_component)))
    short = max(0.0, FLOOR - mix[-1])
    mix[:-1] *= (1 - mix[-1] - short) / max(1 - mix[-1], FLOOR)
    mix[-1] = 1 - mix[:-1].sum()
    return mix


def cross_entropy(
    probabilities: Float[ndarray, "position component"],
    weights: Float[ndarray, " position"],
    mix: Float[ndarray, " component"],
) -> float:
    """Mean nats of the held-out genes under a mixture."""
    return float(-(weights @ np.log(probabilities @ mix)) / weights.sum())


def best_mixture(
    candidates: Iterable[tuple[T, Float[ndarray, "position component"]]],
    weights: Float[ndarray, " position"],
) -> tuple[T, tuple[float, ...], float]:
    """The candidate of the lowest cross-entropy under its best weights; of equals, the first.

    Args:
        candidates: Settings, such as a width of smoothing, with the probabilities that components
            of these settings gave the gene at each held-out position.
        weights: How much each position counts.

    Returns:
        The settings, the weights of the components, and the cross-entropy in nats.
    """
    found = []
    for settings, probabilities in candidates:
        parts = probabilities.astype(np.float64)
        mix = mixture_weights(parts, weights)
        found.append((settings, tuple(mix.tolist()), cross_entropy(parts, weights, mix)))
    return min(found, key=lambda one: one[2])
