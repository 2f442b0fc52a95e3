"""The composition of walks over steps as stacked areas, beside bars of true time points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.report.figures.cluster_flow import short_name
from bionemo.geneformer_t.report.figures.style import INK

_TICKS = 6
_BAR = 0.045
"""Width of a bar and the gap before it, as a fraction of the steps."""
_LETTERS = 10


def draw_composition(
    axes: Any,
    sampled: Float[ndarray, "step cluster"],
    exact: Float[ndarray, "step cluster"],
    times: Float[ndarray, "time cluster"],
    time_labels: Sequence[str],
    names: Sequence[str],
    colors: Sequence[str],
) -> None:
    """Draw shares of walks as areas, exact ones as dashed borders, and time points as bars.

    Args:
        axes: Where to draw.
        sampled: Shares of walks.
        exact: Shares of infinitely many walks.
        times: True compositions; without rows there are no bars.
        time_labels: Of the time points.
        names: Of the clusters, from the bottom up.
        colors: Of the clusters.
    """
    last = len(sampled) - 1
    steps = np.arange(last + 1)
    axes.stackplot(steps, sampled.T, colors=list(colors), linewidth=0)
    for name, color in zip(reversed(names), reversed(colors), strict=True):
        axes.scatter([], [], marker="s", color=color, label=name)  # from the top down, as areas
    borders = np.cumsum(exact, axis=1)[:, :-1]
    shown = (exact[:, :-1] > 0) & (borders < 1 - 1e-9)
    for cluster in range(borders.shape[1]):
        line = np.where(shown[:, cluster], borders[:, cluster], np.nan)
        axes.plot(steps, line, color="white", linewidth=1.4)
        axes.plot(steps, line, color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
    ticks = np.unique(np.linspace(0, last, min(_TICKS, last + 1)).astype(int)).tolist()
    labels = [str(tick) for tick in ticks]
    width = max(last, 1) * max(_BAR, 0.09 if len(time_labels) <= 5 else _BAR)
    places = last + width * (1.4 + 1.25 * np.arange(len(time_labels)))
    bottom = np.zeros(len(time_labels))
    for shares, color in zip(times.T, colors, strict=True):
        axes.bar(places, shares, width, bottom=bottom, color=color, linewidth=0)
        bottom = bottom + shares
    end = places[-1] + width if len(places) else last
    axes.set_xticks(ticks, labels, fontsize=9)
    turned = {"rotation": 90} if max(map(len, time_labels), default=0) > 3 else {}
    for place, label in zip(places, time_labels, strict=True):
        axes.text(
            place, -0.03, short_name(label, _LETTERS), ha="center", va="top", fontsize=9, **turned
        )
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"], fontsize=9)
    axes.set(xlim=(0, end), ylim=(0, 1))
    axes.set_ylabel("% of walks" + (", and of cells" if len(places) else ""), fontsize=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
