"""Cells on a map, and mean arrows from where cells are to where they go."""

import re
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from numpy import ndarray

from bionemo.geneformer_t.report.figures.style import QUIET

GRID = 16
"""Places along the longer side at which arrows are averaged."""
_LEAST_CELLS = 1.5
"""Cells, weighted by nearness, that a place on the grid must have to show an arrow."""
_MOST_VECTORS = 500
CATEGORIES = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#774411",
    "#117755", "#dd8833",
)  # fmt: skip
"""Paul Tol's bright colours first: told apart by the colour-blind and in print."""


def grid_weights(starts: Float[ndarray, "cell 2"]) -> Float[ndarray, "place cell"]:
    """How much each cell counts at each place of a grid where there are cells.

    Arrows begin at the mean place of the cells that they average, not at the place of the grid.

    Returns:
        Rows of Gaussian weights that sum to one.
    """
    low, span = starts.min(axis=0), np.maximum(np.ptp(starts, axis=0), 1e-9)
    scaled = (starts - low) / span
    ticks = (np.arange(GRID) + 0.5) / GRID
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    apart = ((grid[:, None] - scaled) ** 2).sum(axis=-1)
    nearness = np.exp(-0.5 * apart / (0.5 / GRID) ** 2)
    mass = nearness.sum(axis=1)
    # where cells are few altogether, one of them is enough
    enough = mass >= min(_LEAST_CELLS, 0.5 * mass.max())
    return nearness[enough] / mass[enough, None]


def shown_fraction(moves: Float[ndarray, "place 2"], starts: Float[ndarray, "cell 2"]) -> float:
    """The fraction of their length at which arrows are drawn, so that few run into the next one."""
    spacing = np.ptp(starts, axis=0).max() / GRID
    typical = float(np.median(np.linalg.norm(moves, axis=1)))
    return min(1.0, float(spacing / typical)) if typical > 0 and spacing > 0 else 1.0


def draw_arrows(
    axes: Any, tails: Float[ndarray, "place 2"], moves: Float[ndarray, "place 2"], shown: float
) -> None:
    """Draw arrows at a fraction of their length."""
    axes.quiver(
        *tails.T, *moves.T, angles="xy", scale_units="xy", scale=1 / shown, width=0.004,
        headwidth=4.5, headlength=5, headaxislength=4.5, color="#1b1f23", zorder=3,
    )  # fmt: skip


def draw_cells(
    axes: Any,
    coordinates: Float[ndarray, "cell 2"],
    colors: Shaped[ndarray, " cell"] | None,
    size: float = 22,
) -> Any:
    """Draw a point for each cell; returns what `explain_colors` needs."""
    # thousands of dots make a vector file heavy and show no more than their picture
    is_many = len(coordinates) > _MOST_VECTORS
    style = {"s": size, "linewidths": 0, "alpha": 0.55, "zorder": 2, "rasterized": is_many}
    if colors is None:
        return axes.scatter(*coordinates.T, color=QUIET, **style)
    if np.issubdtype(colors.dtype, np.number):
        return axes.scatter(*coordinates.T, c=colors, cmap="viridis", **style)
    handles = []
    for number, label in enumerate(sorted(set(colors.tolist()), key=_by_number)):
        here = coordinates[colors == label]
        color = CATEGORIES[number % len(CATEGORIES)]
        handles.append(axes.scatter(*here.T, color=color, label=label, **style))
    return handles


def _by_number(label: str) -> list[tuple[int, str]]:
    """D6 before D10."""
    return [(int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", label)]


def explain_colors(
    figure: Any, panels: Any, drawn: Any, colors: Shaped[ndarray, " cell"], name: str
) -> None:
    """Add a colour bar for numbers, or a legend for labels."""
    if np.issubdtype(colors.dtype, np.number):
        bar = figure.colorbar(drawn, ax=panels, label=name, shrink=0.7, aspect=30, pad=0.01)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1)
    else:
        figure.legend(
            handles=drawn, title=name, loc="outside right center", frameon=False, markerscale=1.6
        )
