"""A value of each cell on a map, such as the probability of a fate, with terminal cells ringed."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from bionemo.geneformer_t.report.figures.cell_arrows import dot_size, draw_cells
from bionemo.geneformer_t.report.figures.cluster_flow import short_names
from bionemo.geneformer_t.report.figures.style import INK, QUIET

_MOST_LETTERS = 28


def draw_values(
    axes: Any,
    coordinates: Float[ndarray, "cell 2"],
    values: Float[ndarray, " cell"],
    *,
    title: str,
    name: str,
    limits: tuple[float, float] | None = None,
    terminal: Bool[ndarray, " cell"] | None = None,
    size: float | None = None,
    cmap: str = "viridis",
    missing: str = "no value",
) -> None:
    """Draw cells coloured by their values, the highest on top, with a colour bar.

    Args:
        axes: Where to draw.
        coordinates: The place of each cell.
        values: NaN where there is none: these cells are grey and counted below the panel.
        title: Of the panel.
        name: What the values are, beside the colour bar.
        limits: Of the colours; by default those of the values.
        terminal: Cells to ring.
        size: Area of a point, in square points.
        cmap: A colour map of Matplotlib.
        missing: What it means that a cell has no value.
    """
    size = dot_size(len(coordinates)) if size is None else size
    known = np.isfinite(values)
    draw_cells(axes, coordinates[~known], None, size)
    order = np.flatnonzero(known)[np.argsort(values[known], kind="stable")]
    dots = draw_cells(axes, coordinates[order], values[order], size)
    dots.set(cmap=cmap, alpha=1)
    if limits is not None:
        dots.set_clim(*limits)
    bar = axes.figure.colorbar(dots, ax=axes, label=name, shrink=0.7, aspect=25, pad=0.02)
    bar.outline.set_visible(False)
    notes = []
    if terminal is not None and terminal.any():
        axes.scatter(
            *coordinates[terminal].T, s=2 * size, facecolors="none", edgecolors=INK,
            linewidths=0.7, zorder=3, label="terminal cells", rasterized=int(terminal.sum()) > 500,
        )  # fmt: skip
        notes.append(f"ringed: {terminal.sum():,} terminal cells")
    if not known.all():
        notes.append(f"grey: {(~known).sum():,} cells, {missing}")
    bare(axes, title, "\n".join(notes))


def bare(axes: Any, title: str, note: str = "") -> None:
    """A panel of cells: a title, a note below it, no frame and no ticks."""
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_xlabel(note, fontsize=9, color="#444444", loc="left")
    axes.set(xticks=[], yticks=[], ylabel="")
    axes.spines[:].set_visible(False)


def legend_beside(axes: Any, title: str = "") -> None:
    """A legend to the right of the panel, in as many columns as its labels need."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    legend = axes.legend(
        handles, short_names(labels, _MOST_LETTERS),
        loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False, fontsize=9,
        ncols=1 + (len(labels) - 1) // 16, title=title, alignment="left", scatterpoints=1,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if hasattr(handle, "set_sizes"):
            handle.set_sizes([36])
        handle.set_alpha(1)


def draw_labels(
    axes: Any,
    coordinates: Float[ndarray, "cell 2"],
    labels: ndarray,
    palette: dict[str, str],
    size: float | None = None,
) -> None:
    """Draw cells by their labels; those without one (an empty text) are grey."""
    size = dot_size(len(coordinates)) if size is None else size
    without = labels == ""
    if without.any():
        drawn = draw_cells(axes, coordinates[without], None, size)
        drawn.set(color=QUIET, alpha=0.35)
    draw_cells(axes, coordinates[~without], labels[~without], size, palette)
