"""Fates before and after an edit: two bars for each fate."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.report.figures.cluster_flow import short_name, short_names
from bionemo.geneformer_t.report.figures.style import INK, QUIET, quieten
from bionemo.geneformer_t.table import with_minus

_HEIGHT = 0.38
_MOST_LETTERS = 24
_ROOM = 1.3
"""How much further than the longest bar an axis goes, for figures beside bars."""


def draw_fate_changes(
    axes: Any,
    before: Float[ndarray, " fate"],
    after: Float[ndarray, " fate"],
    fates: Sequence[str],
    colors: Sequence[str],
    title: str,
) -> None:
    """Draw the mean probability of each fate before an edit (grey) and after it, with the change.

    Args:
        axes: Where to draw.
        before: Mean probabilities in the affected cells.
        after: The same with the edit.
        fates: Names, from top to bottom.
        colors: Of the bars after the edit.
        title: Of the panel.
    """
    rows = np.arange(len(fates))
    axes.barh(rows - _HEIGHT / 2, before, height=_HEIGHT, color=QUIET, label="before")
    axes.barh(rows + _HEIGHT / 2, after, height=_HEIGHT, color=colors, label="after")
    most = float(max(before.max(initial=0), after.max(initial=0))) or 1.0
    for row, (one, other) in enumerate(zip(before, after, strict=True)):
        change = with_minus(f"{100 * (other - one):+.1f}")
        place = max(one, other) + 0.02 * most
        axes.text(place, row, change, va="center", fontsize=8, color=INK)
    axes.set(xlim=(0, _ROOM * most), ylim=(len(fates) - 0.4, -0.6))
    axes.set_yticks(rows, short_names(fates, _MOST_LETTERS), fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    axes.set_title(short_name(title, _MOST_LETTERS), loc="left", fontsize=11)
    quieten(axes, grid="x")
