"""Names beside points, none over another and none over the edge of the panel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxBase
from numpy import ndarray

from bionemo.geneformer_t.report.figures.style import INK

_DIRECTIONS = ((1, 0), (-1, 0), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7), (0, 1), (0, -1))
_DISTANCES = (5, 12, 20, 30, 42, 56, 72, 90)
"""Points between a point and its name."""
_AROUND = 1.5
"""Pixels that are kept free around a name."""
_POINT = 3.0
"""Pixels around the middle of a point that no name covers."""


def label_points(
    axes: Any,
    places: Float[ndarray, "point 2"],
    names: Sequence[str],
    fontsize: float = 9,
    *,
    is_laid_out: bool = False,
) -> list[Any]:
    """Write names as near to their points as they fit; the first are placed first.

    None covers another name or one of these points; names that fit nowhere are left out. Limits and
    scales of the axes must be final.

    Args:
        axes: Where to write.
        places: The points, in the coordinates of the data.
        names: What to write beside them.
        fontsize: Of the names.
        is_laid_out: Whether the figure has been drawn with all that it holds but names, so that
            panels have their places.

    Returns:
        The texts that are written.
    """
    figure = axes.figure.get_figure(root=True)
    if not is_laid_out:
        figure.draw_without_rendering()  # the layout decides how much room there is
    renderer, panel = figure.canvas.get_renderer(), axes.get_window_extent()
    pixels = figure.dpi / 72
    dots = axes.transData.transform(places) if len(places) else np.zeros((0, 2))
    taken = [Bbox([dot - _POINT, dot + _POINT]) for dot in dots]
    written = []
    for place, dot, name in zip(places, dots, names, strict=True):
        text = axes.annotate(
            name, place, xytext=(0, 0), textcoords="offset points", fontsize=fontsize, color=INK,
            ha="center", va="center", zorder=6, parse_math=False, annotation_clip=True,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkA": 0,
                        "shrinkB": 2},
        )  # fmt: skip
        extent = Text.get_window_extent(text, renderer)  # without its line
        half = np.array([extent.width, extent.height]) / 2 + _AROUND
        box = _free_box(dot, half, pixels, panel, taken)
        if box is None:
            text.remove()
            continue
        middle = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
        text.set_position(tuple((middle - dot) / pixels))
        text.arrow_patch.set_visible(bool(np.any(np.abs(middle - dot) > half + 8 * pixels)))
        taken.append(box)
        written.append(text)
    return written


def _free_box(
    dot: Float[ndarray, " 2"],
    half: Float[ndarray, " 2"],
    pixels: float,
    panel: BboxBase,
    taken: Sequence[Bbox],
) -> Bbox | None:
    """The nearest box around a point that is within the panel and over no other box."""
    for distance in _DISTANCES:
        for direction in np.array(_DIRECTIONS):
            middle = dot + direction * (half * (direction != 0) + distance * pixels)
            box = Bbox([middle - half, middle + half])
            inside = panel.x0 <= box.x0 and box.x1 <= panel.x1
            inside = inside and panel.y0 <= box.y0 and box.y1 <= panel.y1
            if inside and not any(box.overlaps(other) for other in taken):
                return box
    return None
