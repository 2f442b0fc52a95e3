"""Panels of genes along the trajectory, as `driver_trends` and `perturbation_trends` draw them."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.fates.terminal_settings import STEPS
from bionemo.geneformer_t.report.figures.fate_curves import draw_curves, weighted_curve
from bionemo.geneformer_t.report.figures.fate_map import legend_beside

Followed = tuple[Float[ndarray, " cell"], Float[ndarray, " cell"]]
"""Where each cell is on the horizontal axis, and how much it counts."""


def draw_trends(
    panels: Sequence[Any],
    values: Float[ndarray, "cell gene"],
    followed: Mapping[str, Followed],
    colors: Mapping[str, str],
    titles: Sequence[str],
    *,
    xlabel: str,
    ylabel: str,
    columns: int,
    are_given: bool,
    legend: str | None = "fate",
) -> None:
    """Draw one gene in each panel, and a curve for each name; steps run from many to few.

    Args:
        panels: Axes of Matplotlib.
        values: Of the genes.
        followed: Name of each curve -> its cells.
        colors: Of each curve.
        titles: What the genes are called.
        xlabel: Name of the horizontal axis; where it is `fate_steps`, time goes from left to right.
        ylabel: What the values are.
        columns: Panels beside each other, of which the first has the name of the values.
        are_given: The panels are a caller's and may be anywhere, so that each has it.
        legend: Heading of the legend; None for none.
    """
    for number, (axes, title) in enumerate(zip(panels, titles, strict=True)):
        curves = {
            name: weighted_curve(place, values[:, number], weights)
            for name, (place, weights) in followed.items()
        }
        draw_curves(axes, curves, dict(colors), title)
        axes.set_xlabel(xlabel, fontsize=9)
        if are_given or number % columns == 0:
            axes.set_ylabel(ylabel, fontsize=9)
        if xlabel == STEPS:
            axes.invert_xaxis()
    if legend is not None:
        legend_beside(panels[min(columns, len(panels)) - 1], legend)
