"""Walks over cells as paths on a map."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float, Int
from matplotlib.collections import LineCollection
from numpy import ndarray

from bionemo.geneformer_t.report.figures.style import INK


def draw_paths(
    axes: Any,
    coordinates: Float[ndarray, "cell 2"],
    walks: Int[ndarray, "walk time"],
    colors: Sequence[str],
) -> None:
    """Draw a line for each walk, a point where it starts and a ring where it is at last.

    Args:
        axes: Where to draw, over the cells.
        coordinates: The place of each cell.
        walks: The cells that each visits.
        colors: Of the lines and rings.
    """
    lines = LineCollection(
        list(coordinates[walks]), colors=list(colors), linewidths=0.9, alpha=0.6, zorder=3
    )
    axes.add_collection(lines)
    first, last = coordinates[walks[:, 0]], coordinates[walks[:, -1]]
    axes.scatter(*first.T, s=12, color=INK, linewidths=0, zorder=4)
    axes.scatter(*last.T, s=24, facecolors="white", edgecolors=colors, linewidths=1.3, zorder=5)
