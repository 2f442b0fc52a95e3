"""A gene along the way to fates: weighted means over stretches of cells, with intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import t as student

from bionemo.geneformer_t.evaluate.trends import stretches
from bionemo.geneformer_t.report.figures.cluster_flow import short_name, short_names
from bionemo.geneformer_t.report.figures.style import quieten

_LEAST_CELLS = 3.0
"""Sum of weights, and effective number of cells, from which on a stretch has a point."""
_APART = 0.03
"""Fraction of the range of places by which the means of two stretches must differ."""
_LINES = ("-", "--", ":", "-.")
_MOST_LETTERS = 24


@dataclass(frozen=True, kw_only=True)
class WeightedCurve:
    """Weighted means of a value over stretches of cells, in the order of their places."""

    place: Float[ndarray, " stretch"]
    mean: Float[ndarray, " stretch"]
    half: Float[ndarray, " stretch"]
    """Half the width of the 95 % interval over cells."""
    limits: tuple[float, float]
    """The least and the largest value; no mean can be beyond them."""


def weighted_curve(
    place: Float[ndarray, " cell"],
    values: Float[ndarray, " cell"],
    weights: Float[ndarray, " cell"],
) -> WeightedCurve:
    """Means over stretches with equally many cells, each cell counted by its weight.

    Stretches that are hardly apart, where many cells have nearly the same place, are merged.

    The standard error is sqrt(sum w^2 (v - mean)^2) / sum w (of a ratio, Cochran 1977, 6.4); the
    quantile is that of Student's t with (sum w)^2 / sum w^2 - 1 degrees of freedom, the effective
    number of cells less one. Stretches with fewer than three cells by weight are left out.

    Args:
        place: Of each cell; cells without a place, a value or a weight are left out.
        values: What is averaged.
        weights: From 0 to 1.
    """
    known = np.isfinite(place) & np.isfinite(values) & np.isfinite(weights)
    place, values, weights = place[known], values[known], weights[known]
    if not len(place):
        none = np.zeros(0)
        return WeightedCurve(place=none, mean=none, half=none, limits=(0.0, 0.0))
    stretch = _merged(stretches(place), place)
    total = np.bincount(stretch, weights)
    squared = np.bincount(stretch, weights**2)
    effective = np.divide(total**2, squared, out=np.zeros_like(total), where=squared > 0)
    enough = np.minimum(total, effective) >= _LEAST_CELLS
    safe = np.where(total > 0, total, 1)
    mean = np.bincount(stretch, weights * values) / safe
    spread = np.bincount(stretch, weights**2 * (values - mean[stretch]) ** 2)
    where = np.bincount(stretch, weights * place) / safe
    half = student.ppf(0.975, np.maximum(effective - 1, 1)) * np.sqrt(spread) / safe
    return WeightedCurve(
        place=where[enough],
        mean=mean[enough],
        half=half[enough],
        limits=(float(values.min()), float(values.max())),
    )


def _merged(
    stretch: Int[ndarray, " cell"], place: Float[ndarray, " cell"]
) -> Int[ndarray, " cell"]:
    """Stretches, each with those that follow it closely, numbered without a gap."""
    means = np.bincount(stretch, place) / np.bincount(stretch)
    number, first, merged = 0, means[0], np.zeros(len(means), dtype=np.int64)
    for i, mean in enumerate(means):
        if mean - first > _APART * np.ptp(place):
            number, first = number + 1, mean
        merged[i] = number
    return merged[stretch]


def draw_curves(
    axes: Any, curves: dict[str, WeightedCurve], colors: dict[str, str], gene: str
) -> None:
    """Draw a curve with its band for each fate; lines differ without colour too."""
    labels = short_names(list(curves), _MOST_LETTERS)
    for number, (short, (name, curve)) in enumerate(zip(labels, curves.items(), strict=True)):
        color = colors[name]
        low = np.maximum(curve.mean - curve.half, curve.limits[0])
        high = np.minimum(curve.mean + curve.half, curve.limits[1])
        axes.fill_between(curve.place, low, high, color=color, alpha=0.18, linewidth=0)
        axes.plot(
            curve.place, curve.mean, color=color, linestyle=_LINES[number % len(_LINES)],
            linewidth=1.8, marker="o", markersize=3, label=short,
        )  # fmt: skip
    axes.set_title(short_name(gene, _MOST_LETTERS), loc="left", fontsize=11)
    axes.tick_params(labelsize=8)
    quieten(axes)
