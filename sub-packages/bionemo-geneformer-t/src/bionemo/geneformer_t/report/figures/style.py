"""How every figure looks: quiet axes, two colours that survive print and colour blindness."""

from pathlib import Path
from typing import Any, Literal

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from bionemo.geneformer_t.files import whole_file

MODEL = "#0b6e99"
REFERENCE = "#d9822b"
QUIET = "#9aa5ad"
DPI = 150
"""Dots per inch of a PNG, and of dots within an SVG."""


def new_figure(width: float = 6.0, height: float = 4.0) -> Figure:
    """An empty figure in inches, independent of any window system or global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write the figure; the ending of the path chooses PNG or SVG."""
    as_plain_text(figure)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=DPI)
    return path


def as_plain_text(figure: Figure) -> None:
    """Let no name of a gene, a cluster or a file be read as a formula: `$` is a letter here."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)


def quieten(axes: Any, *, grid: Literal["x", "y", "both"] = "y") -> None:
    """Take away the frame's upper and right side, and put a faint grid behind what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.3)
    axes.set_axisbelow(True)
