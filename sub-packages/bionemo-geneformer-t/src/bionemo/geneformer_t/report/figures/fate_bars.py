"""Mean fate probabilities of each cluster, as stacked bars with their percentages."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.colors import to_rgb
from numpy import ndarray

from bionemo.geneformer_t.report.figures.cluster_flow import short_names
from bionemo.geneformer_t.report.figures.fate_map import legend_beside
from bionemo.geneformer_t.report.figures.style import INK

_LEAST_WRITTEN = 0.06
"""Fraction from which on a part of a bar has room for its percentage."""
_MOST_LETTERS = 28
_CERTAIN = 1 - 1e-6
"""Mean probability of a fate from which on all cells of a cluster have it."""


def mean_fates(
    fates: Float[ndarray, "cell fate"], codes: Int[ndarray, " cell"], number: int
) -> tuple[Float[ndarray, "cluster fate"], Int[ndarray, " cluster"]]:
    """The mean over the cells of each cluster that reach a fate, and how many these are.

    Args:
        fates: Probabilities; rows of NaN for cells that reach none.
        codes: The cluster of each cell; -1 for none.
        number: Clusters.

    Returns:
        Means (NaN for clusters of which no cell reaches a fate), and numbers of cells.
    """
    known = np.isfinite(fates).all(axis=1) & (codes >= 0)
    cells = np.bincount(codes[known], minlength=number)
    totals = np.zeros((number, fates.shape[1]))
    np.add.at(totals, codes[known], fates[known])
    means = np.full_like(totals, np.nan)
    np.divide(totals, cells[:, None], out=means, where=cells[:, None] > 0)
    return means, cells


def bar_order(
    means: Float[ndarray, "cluster fate"], *, is_ordered: bool
) -> Int[ndarray, " cluster"]:
    """Clusters in the order of their bars: those that are a fate themselves come last.

    Args:
        means: Mean fates, from `mean_fates`.
        is_ordered: Whether the clusters have an order, which then is that of the bars.
    """
    if is_ordered:
        return np.arange(len(means))
    return np.argsort((means > _CERTAIN).any(axis=1), kind="stable")


def draw_bars(
    axes: Any,
    means: Float[ndarray, "cluster fate"],
    cells: Int[ndarray, " cluster"],
    clusters: Sequence[str],
    fates: Sequence[str],
    colors: Sequence[str],
) -> None:
    """Draw a bar for each cluster, from top to bottom; parts are fates from left to right."""
    rows, left = np.arange(len(clusters)), np.zeros(len(clusters))
    short = short_names(fates, _MOST_LETTERS)
    has_bar = np.isfinite(means).all(axis=1)
    for fate, color in enumerate(colors):
        width = np.where(has_bar, means[:, fate], 0)
        axes.barh(
            rows, width, left=left, height=0.78, color=color, edgecolor="white", linewidth=0.8,
            label=short[fate],
        )  # fmt: skip
        ink = "white" if _is_dark(color) else INK
        for row in np.flatnonzero(width >= _LEAST_WRITTEN):
            axes.text(
                left[row] + width[row] / 2, row, f"{100 * width[row]:.0f}", ha="center",
                va="center", fontsize=9, color=ink,
            )  # fmt: skip
        left += width
    for row in np.flatnonzero(~has_bar):
        axes.text(0.01, row, "no cell reaches a fate", va="center", fontsize=9, color="#777777")
    names = [
        f"{name} ({number:,})"
        for name, number in zip(short_names(clusters, _MOST_LETTERS), cells.tolist(), strict=True)
    ]
    axes.set_yticks(rows, names, fontsize=10 if len(names) <= 20 else 8)
    axes.set(xlim=(0, 1), ylim=(len(clusters) - 0.5, -0.5))
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"], fontsize=9)
    axes.set_xlabel("mean fate probability, %", fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    legend_beside(axes, "fate")


def _is_dark(color: str) -> bool:
    """Whether white is easier to read on it than black (relative luminance, WCAG 2.1)."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], channels))
    return bool(1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05)
