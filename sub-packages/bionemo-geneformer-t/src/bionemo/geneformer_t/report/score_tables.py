"""The scores of an evaluation as tables of a page."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation import MODEL, Evaluation, Scores
from bionemo.geneformer_t.evaluate.scores.population import PopulationDistance
from bionemo.geneformer_t.evaluate.scores.token_scores import PositionScores
from bionemo.geneformer_t.report.markup import Heading, Html, table
from bionemo.geneformer_t.report.numbers import number, percent, span


def token_table(evaluation: Evaluation) -> Html:
    """Every position of every next cell, and genes that the current cell does not express."""
    names = ["cross-entropy", "top-1", "top-10", "top-100"]
    units = ["nats", "%", "%", "%"]
    rows = []
    for name, row in evaluation.rows.items():
        first, *shares = _positions(row.all)
        rows.append([name, first, span(row.interval), *shares, *_positions(row.changed)])
    return table(
        [
            ["", ("all genes", 5), ("genes new in the next cell", 4)],
            ["", names[0], "95 % interval", *names[1:], *names],
            ["", units[0], units[0], *units[1:], *units],
        ],
        rows,
        caption="Genes at their ranks; new are those that the current cell does not express",
        marked=_own(list(evaluation.rows)),
    )


def cell_table(evaluation: Evaluation) -> Html:
    """Whole cells: means over current cells."""
    heads: list[list[Heading]] = [
        ["", ("highest genes", 2), ("change of genes", 3), ("step of the cell", 4)],
        ["", "order", "top 100", "by size", "by rank", "top 100", "closer", "direction", "time",
         "across clusters"],
        ["", "spearman", "shared %", "pearson", "spearman", "same way %", "% of cells", "cosine",
         "sign %", "cosine"],
    ]  # fmt: skip
    rows = [[name, *_whole(row)] for name, row in evaluation.rows.items()]
    return table(
        heads,
        rows,
        caption="Expected next cells beside true ones",
        marked=_own(list(evaluation.rows)),
    )


def population_table(evaluation: Evaluation) -> Html:
    """Populations of predicted and true next cells, and what their distances are read against."""
    distances = {name: row.whole.population for name, row in evaluation.rows.items()}
    every: Mapping[str, PopulationDistance] = {**distances, **evaluation.population_marks}
    rows = [
        [name, number(found.energy), number(found.wasserstein), number(found.mmd, 4)]
        for name, found in every.items()
    ]
    bandwidth = f"kernel width {number(evaluation.bandwidth, 2)}"
    return table(
        [["", "energy", "Wasserstein", "MMD"], ["", "distance", "distance", bandwidth]],
        rows,
        caption="Cells drawn from the predictions beside true next cells, as populations",
        marked=_own(list(every)),
    )


def _own(names: list[str]) -> list[int]:
    return [number for number, name in enumerate(names) if name == MODEL]


def _positions(scores: PositionScores) -> list[str]:
    shares = (scores.top1, scores.top10, scores.top100)
    return [number(scores.cross_entropy), *(percent(share) for share in shares)]


def _whole(row: Scores) -> list[str]:
    cells, direction = row.whole.cells, row.whole.direction
    return [
        number(_mean(cells.spearman), 2),
        percent(_mean(cells.overlap[100])),
        number(_mean(cells.delta_pearson), 2),
        number(_mean(cells.delta_spearman), 2),
        percent(_mean(cells.direction[100])),
        percent(_mean(direction.closer)),
        number(_mean(direction.cosine), 2),
        percent(_mean(direction.time_sign)),
        number(_mean(direction.boundary_cosine), 2),
    ]


def _mean(values: Float[ndarray, " cell"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
