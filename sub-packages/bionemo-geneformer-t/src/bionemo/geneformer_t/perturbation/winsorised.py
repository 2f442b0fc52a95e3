"""Mean and standard deviation without the pull of extreme values."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_CUT = 0.05
"""Fraction of the values that is set to the next one, at either end."""


def winsorised_moments(
    values: Float[ndarray, "target null ..."],
) -> tuple[Float[ndarray, "target ..."], Float[ndarray, "target ..."]]:
    """Mean and standard deviation without the pull of extreme values, over the second axis.

    The lowest and highest 5 % are set to the next value. The standard deviation is scaled to be
    right for normal values. NaN is left out, and NaN is what fewer than two values give.

    Args:
        values: Of the null of each target.
    """
    number = np.isfinite(values).sum(axis=1, keepdims=True)
    ordered = np.sort(values, axis=1)  # NaN last
    cut = (_CUT * number).astype(np.int64)
    low = np.take_along_axis(ordered, cut, axis=1)
    high = np.take_along_axis(ordered, np.maximum(number - 1 - cut, 0), axis=1)
    clipped, few = np.clip(values, low, high), (number < 2)[:, 0]
    total = np.nansum(clipped, axis=1, keepdims=True)
    mean = total / np.maximum(number, 1)
    squares = np.nansum((clipped - mean) ** 2, axis=1)
    sd = np.sqrt(squares / np.maximum(number[:, 0] - 1, 1))
    left = _left_of_normal(cut / np.maximum(number, 1))[:, 0]
    return np.where(few, np.nan, mean[:, 0]), np.where(few, np.nan, sd / left)


def _left_of_normal(cut: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """Standard deviation of a standard normal value that is winsorised at these fractions."""
    from scipy.stats import norm

    edge = norm.ppf(1 - np.maximum(cut, 1e-12))
    found: ndarray = np.sqrt(
        (1 - 2 * cut) - 2 * edge * norm.pdf(edge) + 2 * cut * edge**2
    )  # truncated part, plus the mass at both ends
    return found
