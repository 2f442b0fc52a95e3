"""Genes along the trajectory: current cells, their true successors and the prediction."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bionemo.geneformer_t.evaluate.trends import Curve, GeneTrends
from bionemo.geneformer_t.report.figures.cluster_flow import short_name
from bionemo.geneformer_t.report.figures.style import MODEL, QUIET, REFERENCE, new_figure, quieten
from bionemo.geneformer_t.table import number, with_minus

CURVES = {
    "current": (QUIET, "current cells", ":"),
    "following": (REFERENCE, "true next cells", "-"),
    "predicted": (MODEL, "predicted next cells", "--"),
}
"""Field of `GeneTrends` -> colour, name and line, told apart without colour too."""
LEAST_PLACES = 3
"""Places along the trajectory from which on a curve says more than a table."""
_ACROSS = 4
_MOST_LETTERS = 20


def trends_figure(
    trends: GeneTrends,
    names: Sequence[str],
    place_name: str,
    points: Mapping[float, str] | None = None,
) -> Figure:
    """A small panel for each gene, with bands of 95 % around the means.

    Args:
        trends: The curves.
        names: What the genes are called, in their order.
        place_name: What the horizontal axis is.
        points: What time points are called; ticks are drawn there where all places are such.
    """
    ticks = [_called(place, points or {}) for place in trends.position.tolist()]
    down = -(-len(names) // _ACROSS)
    figure = new_figure(11.4, 0.9 + 2.1 * down)
    panels = figure.subplots(down, _ACROSS, sharex=True, squeeze=False).ravel()
    for i, (axes, name) in enumerate(zip(panels, names, strict=False)):
        for field, (color, label, line) in CURVES.items():
            _draw(axes, trends, getattr(trends, field), i, (color, label, line))
        axes.set_title(short_name(name, _MOST_LETTERS), loc="left", fontsize=11)
        agreement = with_minus(number(float(trends.agreement[i]), 2))
        axes.set_title(f"r {agreement}", loc="right", fontsize=9)
        axes.set_ylim(bottom=0)
        is_lowest = i + _ACROSS >= len(names)
        if all(tick is not None for tick in ticks):
            turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
            axes.set_xticks(trends.position, [short_name(str(t), 10) for t in ticks], **turned)
        axes.tick_params(labelsize=8, labelbottom=is_lowest)
        quieten(axes)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=len(labels), frameon=False, fontsize=10
    )
    figure.supxlabel(place_name, fontsize=10)
    figure.supylabel("normalised rank", fontsize=10)
    return figure


def _called(place: float, points: Mapping[float, str]) -> str | None:
    """The name of a time point; places are means of times, and so may differ in the last digit."""
    return next((name for point, name in points.items() if math.isclose(point, place)), None)


def _draw(
    axes: Any, trends: GeneTrends, curve: Curve, gene: int, style: tuple[str, str, str]
) -> None:
    color, label, line = style
    mean, room = curve.mean[:, gene], curve.half[:, gene]
    axes.fill_between(
        trends.position, np.maximum(mean - room, 0), mean + room, color=color, alpha=0.15,
        linewidth=0,
    )  # fmt: skip
    axes.plot(
        trends.position, mean, color=color, label=label, linestyle=line, linewidth=1.8,
        marker="o", markersize=3,
    )  # fmt: skip
