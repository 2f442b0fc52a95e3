"""Effects of edited genes in each cluster, as a heat map."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.colors import LinearSegmentedColormap
from numpy import ndarray

from bionemo.geneformer_t.report.figures.cluster_flow import short_names
from bionemo.geneformer_t.report.figures.style import INK, MODEL, REFERENCE
from bionemo.geneformer_t.table import with_minus

SIGNED = LinearSegmentedColormap.from_list("signed", [REFERENCE, "#f7f7f7", MODEL])
_MOST_FIGURES = 12
"""Clusters up to which effects are written into the squares."""
_DARK = 0.6
"""Fraction of the largest effect from which on white is easier to read."""
_MOST_LETTERS_ACROSS = 45


def draw_cluster_effects(
    axes: Any,
    effects: Float[ndarray, "gene cluster"],
    cells: Int[ndarray, "gene cluster"],
    genes: Sequence[str],
    clusters: Sequence[str],
    *,
    title: str,
    min_cells: int,
) -> None:
    """Draw genes in rows and clusters in columns, blue above 0 and orange below.

    Squares of fewer affected cells than `min_cells` show how many these are, and no effect.
    """
    is_enough = np.isfinite(effects) & (cells >= min_cells)
    shown = np.where(is_enough, effects, np.nan)
    most = float(np.abs(shown[is_enough]).max(initial=0)) or 1.0
    axes.set_facecolor("#e9ecee")
    image = axes.imshow(shown, cmap=SIGNED, vmin=-most, vmax=most, aspect="auto")
    names = short_names(clusters)
    is_long = len(names) * max(map(len, names)) > _MOST_LETTERS_ACROSS
    turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if is_long else {}
    axes.set_xticks(range(len(names)), names, fontsize=9, **turned)
    axes.set_yticks(range(len(genes)), short_names(genes), fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(1, len(names)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(genes)) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    if len(clusters) <= _MOST_FIGURES:
        digits = max(0, int(np.ceil(1 - np.log10(most))))
        for (row, column), value in np.ndenumerate(shown):
            known = is_enough[row, column]
            text = with_minus(f"{value:+.{digits}f}") if known else f"n = {cells[row, column]}"
            dark = known and abs(value) > _DARK * most
            axes.text(
                column, row, text, ha="center", va="center", fontsize=8 if known else 7,
                color="white" if dark else INK if known else "#777777",
            )  # fmt: skip
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.7, aspect=25, label="effect")
    bar.outline.set_visible(False)
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(f"grey: fewer than {min_cells} affected cells (n)", fontsize=8)
