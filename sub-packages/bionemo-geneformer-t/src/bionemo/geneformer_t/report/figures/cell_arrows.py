"""Cells on a map, and mean arrows from where cells are to where they go."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from numpy import ndarray

from bionemo.geneformer_t.report.figures.style import INK, QUIET, category_colors

GRID = 16
"""Places along the longer side at which arrows are averaged."""
_LEAST_CELLS = 1.5
"""Cells, weighted by nearness, that a place on the grid must have to show an arrow."""
_MOST_VECTORS = 500
_AGREED = 1.2
"""Places of the grid that an arrow covers if all steps go in one direction."""
_LEAST_SHOWN = 0.15
"""Places of the grid from which on it is drawn."""


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


@dataclass(frozen=True, kw_only=True)
class MeanArrows:
    """Arrows averaged over the places of a grid."""

    tails: Float[ndarray, "place 2"]
    moves: Float[ndarray, "place 2"]
    shown: float
    """The factor by which moves are drawn shorter, or longer."""


def mean_arrows(
    starts: Float[ndarray, "cell 2"],
    moves: Float[ndarray, "cell 2"],
    lengths: Float[ndarray, " cell"] | None = None,
) -> MeanArrows:
    """Average arrows over the places of a grid, and cut the longest.

    Args:
        starts: Where cells are.
        moves: Their mean displacement.
        lengths: The mean length of their steps. Given these, arrows are scaled so that one which
            all steps agree on is a little longer than a place of the grid: where steps cancel,
            arrows are short, however long the steps are; the shortest are left out.
    """
    weights = grid_weights(starts)
    tails, means = weights @ starts, weights @ moves
    spacing = np.ptp(starts, axis=0).max() / GRID
    shown = shown_fraction(means, starts)
    if lengths is not None and spacing > 0 and np.median(lengths) > 0:
        shown = float(_AGREED * spacing / np.median(lengths))
        visible = np.linalg.norm(means, axis=1) * shown > _LEAST_SHOWN * spacing
        tails, means = tails[visible], means[visible]
    return MeanArrows(tails=tails, moves=shortened(means, 2 * spacing / shown), shown=shown)


def draw_mean_arrows(
    axes: Any,
    starts: Float[ndarray, "cell 2"],
    moves: Float[ndarray, "cell 2"],
    lengths: Float[ndarray, " cell"] | None = None,
) -> float:
    """Draw the arrows of `mean_arrows`; returns the factor at which they are drawn."""
    found = mean_arrows(starts, moves, lengths)
    draw_arrows(axes, found.tails, found.moves, found.shown)
    return found.shown


def shortened(moves: Float[ndarray, "place 2"], longest: float) -> Float[ndarray, "place 2"]:
    """Arrows in the same directions, none of them longer than that."""
    length = np.linalg.norm(moves, axis=1, keepdims=True)
    return moves * np.minimum(1, longest / np.maximum(length, 1e-12))


def draw_arrows(
    axes: Any, tails: Float[ndarray, "place 2"], moves: Float[ndarray, "place 2"], shown: float
) -> None:
    """Draw arrows at a fraction of their length."""
    axes.quiver(
        *tails.T, *moves.T, angles="xy", scale_units="xy", scale=1 / shown, width=0.004,
        headwidth=4.5, headlength=5, headaxislength=4.5, color=INK, zorder=3,
    )  # fmt: skip


def dot_size(num_cells: int) -> float:
    """An area, in square points, at which so many cells fill a panel without hiding each other."""
    return float(np.clip(10_000 / max(num_cells, 1), 4, 22))


def draw_cells(
    axes: Any,
    coordinates: Float[ndarray, "cell 2"],
    colors: Shaped[ndarray, " cell"] | None,
    size: float = 22,
    palette: Mapping[str, str] | None = None,
) -> Any:
    """Draw a point for each cell; returns what `explain_colors` needs.

    Args:
        axes: Where to draw.
        coordinates: The place of each cell.
        colors: Numbers or labels; None draws all cells in grey.
        size: Area of a point, in square points.
        palette: The colour of each label, in the order of the legend; by default those of
            `category_colors`, labels in the order of the numbers in them.
    """
    # thousands of dots make a vector file heavy and show no more than their picture
    is_many = len(coordinates) > _MOST_VECTORS
    style = {"s": size, "linewidths": 0, "alpha": 0.55, "zorder": 2, "rasterized": is_many}
    if colors is None:
        return axes.scatter(*coordinates.T, color=QUIET, **style)
    if np.issubdtype(colors.dtype, np.number):
        return axes.scatter(*coordinates.T, c=colors, cmap="viridis", **style)
    labels = sorted(set(colors.tolist()), key=by_number)
    chosen = palette or dict(zip(labels, category_colors(len(labels)), strict=True))
    return [
        axes.scatter(*coordinates[colors == label].T, color=color, label=label, **style)
        for label, color in chosen.items()
        if (colors == label).any()
    ]


def by_number(label: str) -> list[tuple[int, str]]:
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
