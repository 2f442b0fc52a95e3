"""What the model gains over each baseline, with intervals: the verdicts as a picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.report.figures.cluster_flow import short_name
from bionemo.geneformer_t.report.figures.style import MODEL, QUIET, REFERENCE, new_figure, quieten
from bionemo.geneformer_t.table import signed, with_minus

_FAR = 2.5
"""A gain so many times the second largest is drawn at the edge, with its figure."""
_COLORS = {"better": MODEL, "worse": REFERENCE}
"""Verdict -> colour; the others are grey."""


@dataclass(frozen=True, kw_only=True)
class GainPanel:
    """One measure."""

    title: str
    unit: str
    gains: Sequence[Interval]
    """One for each row."""


def gains_figure(rows: Sequence[str], panels: Sequence[GainPanel]) -> Figure:
    """Panels side by side, a line for each row.

    Blue: the whole interval is above zero (better); orange: below (worse); grey: no better, or
    too few cells or donors for a verdict.
    """
    figure = new_figure(3.0 + 2.4 * len(panels), 1.1 + 0.36 * len(rows))
    places = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(places, panels, strict=True):
        _draw(axes, panel)
    places[0].set_yticks(range(len(rows)), [short_name(row, 34) for row in rows], fontsize=10)
    places[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _draw(axes: Any, panel: GainPanel) -> None:
    furthest = _limit(panel.gains)
    for place, found in enumerate(panel.gains):
        if math.isnan(found.mean):
            axes.text(0, place, "not known", fontsize=8, va="center", ha="center", color="#777777")
            continue
        color = _COLORS.get(found.verdict, QUIET)
        if abs(found.mean) > furthest:
            at, side = math.copysign(furthest, found.mean), "right" if found.mean > 0 else "left"
            axes.annotate(
                with_minus(signed(found.mean, 2)), (at, place), xytext=(0, 0),
                textcoords="offset points", ha=side, va="center", fontsize=9, color=color,
                weight="bold",
            )  # fmt: skip
            continue
        if not math.isnan(found.low):
            axes.plot([found.low, found.high], [place, place], color=color, linewidth=3)
        axes.plot(found.mean, place, "o", color=color, markersize=6)
    axes.axvline(0, color="#444444", linewidth=1)
    ends = [end for found in panel.gains for end in _ends(found, furthest)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = 0.06 * (high - low) or 1.0
    axes.set_xlim(low - room, high + room)
    axes.set_title(panel.title, loc="left", fontsize=11)
    axes.set_xlabel(panel.unit, fontsize=9)
    axes.tick_params(axis="both", labelsize=9)
    axes.tick_params(axis="y", length=0)
    quieten(axes, grid="x")


def _ends(found: Interval, furthest: float) -> list[float]:
    """What the axis must hold of a gain: its whole interval, or the edge where it is too far."""
    if abs(found.mean) > furthest:
        return [math.copysign(furthest, found.mean)]
    return [end for end in (found.low, found.mean, found.high) if not math.isnan(end)]


def _limit(gains: Sequence[Interval]) -> float:
    sizes = sorted(abs(found.mean) for found in gains if not math.isnan(found.mean))
    if len(sizes) < 2 or sizes[-1] <= _FAR * sizes[-2]:
        return math.inf
    return _FAR * sizes[-2] if sizes[-2] > 0 else math.inf
