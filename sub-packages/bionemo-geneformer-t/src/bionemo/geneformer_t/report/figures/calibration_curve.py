"""Whether predicted probabilities mean what they say, and whether error grows with entropy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.scores.calibration import Calibration
from bionemo.geneformer_t.report.figures.style import MODEL, QUIET, REFERENCE, new_figure, quieten
from bionemo.geneformer_t.table import number, with_minus

_LEAST_POSITIONS = 20
"""Bins of fewer positions are too uncertain to draw."""
_TITLE = {"loc": "left", "fontsize": 11}


def calibration_figure(found: Calibration, shares: Sequence[Interval]) -> Figure:
    """A reliability diagram, and the error of each cell against its entropy.

    Args:
        found: What was claimed and what was there.
        shares: The intervals of how often the most probable gene is there, for each bin.
    """
    figure = new_figure(10.4, 4.2)
    reliability, entropy = figure.subplots(1, 2)
    _draw_reliability(reliability, found, shares)
    _draw_entropy(entropy, found)
    return figure


def _draw_reliability(axes: Any, found: Calibration, shares: Sequence[Interval]) -> None:
    """Fractions on both axes are logarithmic, since probabilities of genes span decades."""
    enough = (found.positions >= _LEAST_POSITIONS) & (found.right > 0)
    claimed = found.claimed[enough] / found.positions[enough]
    right = found.right[enough] / found.positions[enough]
    half = np.array([share.high - share.mean for share in shares])[enough]
    axes.set(xscale="log", yscale="log")
    if enough.any():
        low = 0.5 * min(claimed.min(), right.min())
        high = min(1.0, 2 * max(claimed.max(), right.max()))
        axes.plot([low, high], [low, high], color=REFERENCE, linestyle="--", label="perfect")
        lowest = np.minimum(half, 0.9 * right)
        axes.errorbar(claimed, right, yerr=[lowest, half], color=MODEL, fmt="none", elinewidth=1)
        share = found.positions[enough] / found.positions[enough].max()
        axes.plot(claimed, right, color=MODEL, linewidth=1)
        axes.scatter(
            claimed, right, s=15 + 100 * share, color=MODEL, zorder=3,
            label="the model; dots grow with positions",
        )  # fmt: skip
        axes.set(xlim=(low, high), ylim=(low, high))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        axes.legend(frameon=False, fontsize=9, loc="upper left")
    axes.set_title("Is the most probable gene there as often as claimed?", **_TITLE)
    axes.set_xlabel("claimed probability of the most probable gene")
    axes.set_ylabel("fraction of positions where it is there")
    quieten(axes, grid="both")


def _draw_entropy(axes: Any, found: Calibration) -> None:
    is_many = len(found.entropy) > 500
    axes.scatter(
        found.entropy, found.cross_entropy, s=14, color=MODEL, alpha=0.5, linewidths=0,
        rasterized=is_many,
    )  # fmt: skip
    known = np.isfinite(found.entropy) & np.isfinite(found.cross_entropy)
    if known.any():
        both = np.concatenate([found.entropy[known], found.cross_entropy[known]])
        ends = [both.min(), both.max()]
        axes.plot(
            ends, ends, color=QUIET, linewidth=1, linestyle="--", label="as large as the entropy"
        )
        axes.legend(frameon=False, fontsize=9, loc="upper left")
    title = f"Entropy vs. error: rank correlation {with_minus(number(found.entropy_vs_error, 2))}"
    axes.set_title(title, **_TITLE)
    axes.set_xlabel("entropy of the prediction, nats per position")
    axes.set_ylabel("cross-entropy, nats per position")
    quieten(axes, grid="both")
