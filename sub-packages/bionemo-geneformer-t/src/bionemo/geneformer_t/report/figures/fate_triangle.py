"""Three fates as a triangle: each cell is drawn where its probabilities pull it."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.report.figures.cluster_flow import short_names
from bionemo.geneformer_t.report.figures.style import INK

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
"""Where a cell is whose fate is certain: left, right and top."""
_ROOM = ((-0.1, -0.12), (1.1, 1.0))
"""Lower left and upper right of the triangle with its names."""
_LINES = (0.25, 0.5, 0.75)
_MOST_LETTERS = 18
_FEW_LETTERS = 8
"""Up to which a name is centred under its corner."""


def barycentric(fates: Float[ndarray, "cell 3"]) -> Float[ndarray, "cell 2"]:
    """Places in the triangle: the means of its corners, weighted by the probabilities."""
    return fates @ CORNERS


def draw_triangle(axes: Any, names: tuple[str, ...]) -> None:
    """Draw the frame: edges, lines at a quarter, a half and three quarters of each fate, names."""
    outline = np.vstack([CORNERS, CORNERS[:1]])
    axes.plot(*outline.T, color=INK, linewidth=1.2, zorder=1)
    for corner in range(3):
        one, other = (CORNERS[i] for i in range(3) if i != corner)
        for share in _LINES:
            ends = np.array([share * CORNERS[corner] + (1 - share) * end for end in (one, other)])
            axes.plot(*ends.T, color=INK, alpha=0.15, linewidth=0.8, zorder=0)
    short = short_names(names, _MOST_LETTERS)
    sides = (("left", "top", -0.03), ("right", "top", -0.03), ("center", "bottom", 0.03))
    for (x, y), name, (side, above, shift) in zip(CORNERS, short, sides, strict=True):
        is_centred = side == "center" or len(name) <= _FEW_LETTERS
        axes.text(
            x if is_centred else _ROOM[side == "right"][0], y + shift, name, va=above,
            ha="center" if is_centred else side, fontsize=11, weight="bold", color=INK,
        )  # fmt: skip
    axes.margins(0)
    axes.update_datalim(_ROOM)
    axes.autoscale_view()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
