"""How every figure looks: quiet axes, two colours that survive print and colour blindness."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from bionemo.geneformer_t.files import whole_file

MODEL = "#0b6e99"
REFERENCE = "#d9822b"
QUIET = "#9aa5ad"
INK = "#1b1f23"
CATEGORIES = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#774411",
    "#117755", "#dd8833",
)  # fmt: skip
"""Paul Tol's bright colours first: told apart by the colour-blind and in print."""
_SHADES = ((0.0, 0.0), (1.0, 0.4), (0.0, 0.4))
"""Grey level and how much of it is mixed into `CATEGORIES`: as they are, lighter, darker."""
DPI = 150
"""Dots per inch of a PNG, and of dots within an SVG."""


def new_figure(width: float = 6.0, height: float = 4.0) -> Figure:
    """An empty figure in inches, independent of any window system or global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def category_colors(number: int) -> list[str]:
    """A colour for each category; from the eleventh on lighter, then darker ones of the first ten.

    The thirty-first has the first one's colour again: so many are not told apart by colour.
    """
    colors = []
    for i in range(number):
        round_, place = divmod(i, len(CATEGORIES))
        grey, share = _SHADES[round_ % len(_SHADES)]
        base = to_rgb(CATEGORIES[place])
        colors.append(to_hex([(1 - share) * channel + share * grey for channel in base]))
    return colors


def colors_among(names: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """A colour for each name: that of the same label where all names are labels, else its own."""
    known = labels if set(names) <= set(labels) else names
    colors = dict(zip(known, category_colors(len(known)), strict=True))
    return {name: colors[name] for name in names}


def save(figure: Figure, path: Path) -> Path:
    """Write the figure with all its names as plain text."""
    as_plain_text(figure)
    return write(figure, path)


def write(figure: Figure, path: Path) -> Path:
    """Write the figure as it is, whole or not at all; the ending of the path chooses the format."""
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=DPI)
    return path


def as_plain_text(artist: Artist) -> None:
    """Let no name of a gene, a cluster or a file be read as a formula: `$` is a letter here."""
    for text in artist.findobj(Text):
        text.set_parse_math(False)


def quieten(axes: Any, *, grid: Literal["x", "y", "both"] = "y") -> None:
    """Take away the frame's upper and right side, and put a faint grid behind what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.3)
    axes.set_axisbelow(True)
