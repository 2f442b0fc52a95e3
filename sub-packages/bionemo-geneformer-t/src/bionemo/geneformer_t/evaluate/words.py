"""An evaluation as a table and as sentences.

The sentences draw the conclusion for the reader: a baseline counts as beaten only where the whole
interval of the paired difference lies above zero.
"""

import math

from bionemo.geneformer_t.evaluate.bootstrap import Interval
from bionemo.geneformer_t.evaluate.evaluation import MODEL, Evaluation
from bionemo.geneformer_t.evaluate.tokens import PositionScores

_HEAD = ("cross-entropy", "top-1", "top-10", "top-100")
_UNITS = ("nats", "%", "%", "%")


def table(evaluation: Evaluation) -> str:
    """All scores in aligned columns with their units."""
    rows = [
        ["", "all genes", *[""] * 4, "genes new in the next cell", *[""] * 3],
        ["", _HEAD[0], "95 % interval", *_HEAD[1:], *_HEAD],
        ["", _UNITS[0], _UNITS[0], *_UNITS[1:], *_UNITS],
    ]
    for name, row in evaluation.rows.items():
        interval = f"{row.interval.low:.3f} to {row.interval.high:.3f}"
        first, *shares = _figures(row.all)
        rows.append([name, first, interval, *shares, *_figures(row.changed)])
    title, *body = rows
    widths = [max(len(row[i]) for row in body) for i in range(len(title))]
    lines = ["  ".join(_aligned(row, widths)) for row in body]
    start_of_new = sum(widths[:6]) + 2 * 6
    heading = " " * (widths[0] + 2) + title[1]
    lines.insert(0, heading.ljust(start_of_new) + title[6])
    return "\n".join(line.rstrip() for line in lines)


def summary(evaluation: Evaluation) -> str:
    """What was scored, and whether the model beats each baseline beyond its interval."""
    scored = (
        f"Scored: {evaluation.num_positions:,} positions of {evaluation.num_pairs:,} next cells "
        f"of {evaluation.num_cells:,} current cells, every position masked; "
        f"{evaluation.num_changed:,} of the genes are new in the next cell."
    )
    lines = [scored]
    for name, gain in evaluation.advantages.items():
        lines.append(sentence(name, gain.all, ""))
        if evaluation.num_changed:
            lines.append(sentence(name, gain.changed, "On genes new in the next cell, "))
    return "\n".join(lines)


def sentence(baseline: str, gain: Interval, where: str) -> str:
    """One comparison in words."""
    subject = where + MODEL
    subject = subject[0].upper() + subject[1:]
    if gain.low > 0:
        return f"{subject} beats {baseline} by {_with_interval(gain.mean, gain.low, gain.high)}."
    if gain.high < 0:
        loss = _with_interval(-gain.mean, -gain.high, -gain.low)
        return f"{subject} is no better than {baseline}, it is worse: it loses {loss}."
    difference = _with_interval(gain.mean, gain.low, gain.high)
    return f"{subject} is no better than {baseline}: it gains {difference}."


def _with_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.3f} nats per position (95 % interval {low:.3f} to {high:.3f})"


def _figures(scores: PositionScores) -> list[str]:
    shares = (scores.top1, scores.top10, scores.top100)
    return [_number(scores.cross_entropy, 3), *(_number(100 * share, 1) for share in shares)]


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _aligned(row: list[str], widths: list[int]) -> list[str]:
    name, *figures = row
    return [name.ljust(widths[0])] + [
        figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)
    ]
