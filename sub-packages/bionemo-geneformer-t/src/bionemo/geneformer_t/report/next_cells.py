"""True and predicted successors side by side, as arrows on a map of cells."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from numpy import ndarray

from bionemo.geneformer_t.evaluate.arrows import Arrows
from bionemo.geneformer_t.report.style import QUIET, new_figure, save

GRID = 16
"""Places along the longer side at which arrows are averaged."""
_LEAST_CELLS = 1.5
"""Cells, weighted by nearness, that a place on the grid must have to show an arrow."""
_CATEGORIES = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#774411",
    "#117755", "#dd8833",
)  # fmt: skip
"""Paul Tol's bright colours first: told apart by the colour-blind and in print."""


def next_cell_arrows(
    arrows: Arrows,
    coordinates: Float[ndarray, "cell 2"],
    path: Path,
    *,
    colors: Shaped[ndarray, " cell"] | None = None,
    color_name: str = "",
    map_name: str = "map",
) -> Path:
    """Draw two panels: arrows to the true successors, and to the predicted next cells.

    Arrows are averaged around the places of a grid, as velocity plots do; both panels use the same
    places and the same scale.

    Args:
        arrows: Where the current cells go.
        coordinates: The place of every cell of the split.
        path: Where to write the picture.
        colors: A number or a label for each cell.
        color_name: What `colors` are.
        map_name: What the coordinates are.
    """
    figure = new_figure(11.0, 5.2)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    starts = coordinates[arrows.cells]
    weights = grid_weights(starts)
    shown = shown_share(weights @ (arrows.true_ends - starts), starts)
    for axes, ends, title in zip(
        panels,
        (arrows.true_ends, arrows.predicted_ends),
        ("true successors", "predicted next cells"),
        strict=True,
    ):
        drawn = _draw_cells(axes, coordinates, colors)
        tails, moves = weights @ starts, weights @ (ends - starts)
        axes.quiver(
            *tails.T, *moves.T, angles="xy", scale_units="xy", scale=1 / shown, width=0.004,
            headwidth=4.5, headlength=5, headaxislength=4.5, color="#1b1f23", zorder=3,
        )  # fmt: skip
        axes.set_title(title, loc="left", fontsize=13)
        axes.set(xticks=[], yticks=[], aspect="equal" if map_name == "UMAP" else "auto")
        axes.spines[:].set_visible(False)
    if drawn is not None and colors is not None:
        _explain_colors(figure, panels, drawn, colors, color_name)
    figure.supxlabel(
        f"{map_name} of {len(coordinates):,} cells; mean arrows of {len(arrows.cells):,} current "
        f"cells, drawn at {shown:.0%} of their length; mean cosine between true and predicted "
        f"arrows {arrows.cosine:.2f}",
        fontsize=10,
        color="#444444",
    )
    return save(figure, path)


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


def shown_share(moves: Float[ndarray, "place 2"], starts: Float[ndarray, "cell 2"]) -> float:
    """The share of their length at which arrows are drawn, so that few run into the next one."""
    spacing = np.ptp(starts, axis=0).max() / GRID
    typical = float(np.median(np.linalg.norm(moves, axis=1)))
    return min(1.0, float(spacing / typical)) if typical > 0 and spacing > 0 else 1.0


def _draw_cells(
    axes: Any, coordinates: Float[ndarray, "cell 2"], colors: Shaped[ndarray, " cell"] | None
) -> Any:
    style = {"s": 22, "linewidths": 0, "alpha": 0.55, "zorder": 2}
    if colors is None:
        return axes.scatter(*coordinates.T, color=QUIET, **style)
    if np.issubdtype(colors.dtype, np.number):
        return axes.scatter(*coordinates.T, c=colors, cmap="viridis", **style)
    handles = []
    for number, label in enumerate(np.unique(colors)):
        here = coordinates[colors == label]
        color = _CATEGORIES[number % len(_CATEGORIES)]
        handles.append(axes.scatter(*here.T, color=color, label=label, **style))
    return handles


def _explain_colors(
    figure: Any, panels: Any, drawn: Any, colors: Shaped[ndarray, " cell"], name: str
) -> None:
    if np.issubdtype(colors.dtype, np.number):
        bar = figure.colorbar(drawn, ax=panels, label=name, shrink=0.7, aspect=30, pad=0.01)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1)
    else:
        figure.legend(
            handles=drawn, title=name, loc="outside right center", frameon=False, markerscale=1.6
        )
