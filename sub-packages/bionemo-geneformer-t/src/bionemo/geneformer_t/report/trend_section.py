"""Expected genes along the trajectory: a picture, and the same in figures."""

from collections.abc import Sequence

import numpy as np

from bionemo.geneformer_t.evaluate.trends import Curve, GeneTrends
from bionemo.geneformer_t.report.figures.gene_trends import trends_figure
from bionemo.geneformer_t.report.markup import Html, paragraph, table
from bionemo.geneformer_t.report.numbers import gain, number
from bionemo.geneformer_t.report.page import Section
from bionemo.geneformer_t.report.pictures import Picture

_TITLE = "Genes along the trajectory"


def trend_section(trends: GeneTrends, names: Sequence[str], place_name: str) -> Section:
    """Genes that were named and those that change most.

    Args:
        trends: The curves.
        names: What the genes are called, in their order.
        place_name: What places on the trajectory are, such as a column of obs.
    """
    shown = f"{', '.join(names[: trends.num_named])}, as asked, and " if trends.num_named else ""
    text = (
        f"For {shown}the genes that change most from current cells to their successors, at any "
        "place of the trajectory: "
        "how high the gene stands in the rank order (1 at the first rank, 0 where it is absent or "
        f"below rank {trends.num_ranks:,}), in {int(trends.num_cells.sum()):,} current cells, in "
        "their true successors, and as predicted. All three stand at the place of the current "
        "cell: a prediction with skill lies on the true next cells. r is the correlation over "
        "cells of the predicted with the true height in the next cell."
    )
    if trends.num_unplaced:
        text += f" {trends.num_unplaced:,} current cells without a place are left out."
    picture = Picture.of(
        trends_figure(trends, names, place_name),
        "gene_trends",
        f"Curves of {len(names)} genes along {place_name} in current cells, true next cells and "
        "predicted next cells; the table below holds their changes.",
    )
    return Section(
        name="genes",
        title=_TITLE,
        body=[paragraph(text), picture.shown(), _table(trends, names)],
        pictures=[picture],
    )


def _table(trends: GeneTrends, names: Sequence[str]) -> Html:
    weights = trends.num_cells / trends.num_cells.sum()
    now, true, predicted = (
        _mean(curve, weights) for curve in (trends.current, trends.following, trends.predicted)
    )
    rows = [
        [
            name,
            number(now[i]),
            gain(true[i] - now[i]),
            gain(predicted[i] - now[i]),
            number(float(trends.agreement[i]), 2),
        ]
        for i, name in enumerate(names)
    ]
    heads = [
        ["", "height now", "true change", "predicted change", "r"],
        ["", "mean", "mean", "mean", "over cells"],
    ]
    return table(heads, rows, caption="Mean heights over all current cells, and their changes")


def _mean(curve: Curve, weights: np.ndarray) -> list[float]:
    means: list[float] = (weights @ curve.mean).tolist()
    return means
