"""How every figure looks: quiet axes, two colours that survive print and colour blindness."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MODEL = "#0b6e99"
REFERENCE = "#d9822b"
QUIET = "#9aa5ad"


def new_figure(width: float = 6.0, height: float = 4.0) -> Figure:
    """An empty figure in inches, independent of any window system or global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write the figure; the ending of the path chooses PNG or SVG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path
