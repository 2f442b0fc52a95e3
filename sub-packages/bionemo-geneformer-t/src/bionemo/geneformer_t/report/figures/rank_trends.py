"""Ranks of genes along the trajectory, as the model reads them."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from bionemo.geneformer_t.report.figures.fate_curves import WeightedCurve, draw_curves
from bionemo.geneformer_t.report.figures.style import MODEL, new_figure

_ACROSS = 4
_ALL = "all cells"


@dataclass(frozen=True, kw_only=True)
class RankTrends:
    """Mean normalised ranks of genes over stretches of cells, in the order of their places."""

    along: str
    """What places are."""
    curves: Mapping[str, WeightedCurve]
    """Symbol of a gene -> its curve."""
    num_cells: int
    """Cells that the means are over."""
    is_reversed: bool = False
    """Whether cells with the largest place come first, as with the number of steps to go."""


def rank_trends_figure(trends: RankTrends) -> Figure:
    """A small panel for each gene, with bands of 95 % around the means."""
    across = min(_ACROSS, len(trends.curves))
    down = -(-len(trends.curves) // across)
    figure = new_figure(max(3.0 * across, 4.0), 0.6 + 2.2 * down)
    panels = figure.subplots(down, across, sharex=True, squeeze=False).ravel()
    for axes, (symbol, curve) in zip(panels, trends.curves.items(), strict=False):
        draw_curves(axes, {_ALL: curve}, {_ALL: MODEL}, symbol)
        axes.set_ylim(bottom=0)
    for axes in panels[len(trends.curves) :]:
        axes.remove()
    if trends.is_reversed:
        panels[0].invert_xaxis()  # shared; time goes from left to right
    figure.supxlabel(trends.along, fontsize=10)
    figure.supylabel("normalised rank", fontsize=10)
    return figure
