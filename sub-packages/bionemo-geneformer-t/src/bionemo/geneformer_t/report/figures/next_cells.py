"""True and predicted successors side by side, as arrows on a map of cells."""

from matplotlib.figure import Figure

from bionemo.geneformer_t.evaluate.arrows import Arrows
from bionemo.geneformer_t.report.figures.cell_arrows import (
    draw_arrows,
    draw_cells,
    explain_colors,
    grid_weights,
    shown_fraction,
)
from bionemo.geneformer_t.report.figures.cell_map import CellMap
from bionemo.geneformer_t.report.figures.style import new_figure


def next_cells_figure(arrows: Arrows, where: CellMap) -> Figure:
    """Two panels: arrows to the true successors, and to the predicted next cells.

    Arrows are averaged around the places of a grid, as velocity plots do; both panels use the same
    places and the same scale.

    Args:
        arrows: Where the current cells go.
        where: The place of every cell of the split, and its colour.
    """
    coordinates, colors = where.coordinates, where.colors
    figure = new_figure(11.0, 5.2)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    starts = coordinates[arrows.cells]
    weights = grid_weights(starts)
    shown = shown_fraction(weights @ (arrows.true_ends - starts), starts)
    for axes, ends, title in zip(
        panels,
        (arrows.true_ends, arrows.predicted_ends),
        ("true successors", "predicted next cells"),
        strict=True,
    ):
        drawn = draw_cells(axes, coordinates, colors)
        tails, moves = weights @ starts, weights @ (ends - starts)
        draw_arrows(axes, tails, moves, shown)
        axes.set_title(title, loc="left", fontsize=13)
        axes.set(xticks=[], yticks=[], aspect="equal" if where.name == "UMAP" else "auto")
        axes.spines[:].set_visible(False)
    if drawn is not None and colors is not None:
        explain_colors(figure, panels, drawn, colors, where.color_name)
    figure.supxlabel(
        f"{where.name} of {len(coordinates):,} cells; mean arrows of {len(arrows.cells):,} current "
        f"cells, drawn at {shown:.0%} of their length; mean cosine between true and predicted "
        f"arrows {arrows.cosine:.2f}",
        fontsize=10,
        color="#444444",
    )
    return figure
