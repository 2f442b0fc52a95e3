"""Names of clusters on a map, moved apart where they would overlap."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.patheffects import withStroke
from numpy import ndarray

from bionemo.geneformer_t.report.figures.cluster_flow import short_names

MOST_NAMES = 16
"""Clusters that are named: the largest."""
_HEIGHT, _WIDTH = 0.05, 0.019
"""A line and a letter, as fractions of the panel."""


def draw_names(axes: Any, coordinates: Float[ndarray, "cell 2"], cluster: pd.Categorical) -> None:
    """Write each cluster's name at the median place of its cells."""
    codes = np.asarray(cluster.codes)
    sizes = np.bincount(codes[codes >= 0], minlength=len(cluster.categories))
    largest = [i for i in np.argsort(-sizes, kind="stable")[:MOST_NAMES] if sizes[i]]
    names = short_names([str(cluster.categories[i]) for i in largest])
    middles = np.array([np.median(coordinates[codes == i], axis=0) for i in largest])
    low, span = coordinates.min(axis=0), np.maximum(np.ptp(coordinates, axis=0), 1e-9)
    for name, place in zip(names, apart((middles - low) / span, names), strict=True):
        axes.text(
            *(low + place * span), name, ha="center", va="center", fontsize=9, weight="bold",
            color="#1b1f23", zorder=5, path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip


def apart(wanted: Float[ndarray, "name 2"], names: list[str]) -> Float[ndarray, "name 2"]:
    """Places near the wanted ones at which no name covers another; the first names move least.

    Args:
        wanted: Places as fractions of the panel.
        names: What is written there, centred.
    """
    placed: list[tuple[Float[ndarray, " 2"], float]] = []
    for place, name in zip(wanted, names, strict=True):
        half = _WIDTH * len(name) / 2
        shifts = (step * sign * _HEIGHT for step in range(20) for sign in (1, -1))
        free = next(
            moved
            for moved in (place + np.array([0, shift]) for shift in shifts)
            if not any(_covers(moved, half, other, wide) for other, wide in placed)
        )
        placed.append((free, half))
    return np.array([place for place, _ in placed]).reshape(-1, 2)


def _covers(
    one: Float[ndarray, " 2"], half: float, other: Float[ndarray, " 2"], other_half: float
) -> bool:
    aside, above = np.abs(one - other)
    return bool(above < 0.99 * _HEIGHT and aside < half + other_half)
