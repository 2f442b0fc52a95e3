"""The scores of an evaluation as tables, the same on the terminal and on a page."""

from bionemo.geneformer_t.evaluate.dependence_tables import change_table, variety_table
from bionemo.geneformer_t.evaluate.evaluation import Evaluation, Scores
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.population_text import DIGITS, TITLES
from bionemo.geneformer_t.evaluate.row_names import MODEL
from bionemo.geneformer_t.evaluate.scores.expression_change import known_mean
from bionemo.geneformer_t.evaluate.scores.token_scores import PositionScores
from bionemo.geneformer_t.table import Table, number, percent, span


def score_tables(evaluation: Evaluation) -> tuple[Table, ...]:
    """Genes at their ranks, whole cells, change, variety, populations, and calibration."""
    return (
        token_table(evaluation),
        cell_table(evaluation),
        change_table(evaluation),
        variety_table(evaluation),
        population_table(evaluation),
        calibration_table(evaluation),
    )


def token_table(evaluation: Evaluation) -> Table:
    """Every position of every next cell, and genes that the current cell does not express."""
    names = ["cross-entropy", "top-1", "top-10", "top-100"]
    units = ["nats", "%", "%", "%"]
    rows = []
    for name, row in evaluation.rows.items():
        first, *shares = _positions(row.all)
        interval = span(row.interval.low, row.interval.high)
        rows.append([name, first, interval, *shares, *_positions(row.changed)])
    return Table(
        head=[
            ["", ("all genes", 5), ("genes new in the next cell", 4)],
            ["", names[0], "95 % interval", *names[1:], *names],
            ["", units[0], units[0], *units[1:], *units],
        ],
        rows=rows,
        caption="Genes at their ranks; new are those that the current cell does not express",
        marked=[MODEL],
    )


def cell_table(evaluation: Evaluation) -> Table:
    """Whole cells: means over current cells."""
    return Table(
        head=[
            ["", ("highest genes", 2), "step"],
            ["", "order", "top 100", "time"],
            ["", "spearman", "shared %", "sign %"],
        ],
        rows=[[name, *_whole(row)] for name, row in evaluation.rows.items()],
        caption="Expected next cells beside true ones",
        marked=[MODEL],
    )  # fmt: skip


def population_table(evaluation: Evaluation) -> Table:
    """Populations of predicted and true next cells, and what their distances are read against."""
    populations = evaluation.populations
    rows = {name: row.whole.population for name, row in evaluation.rows.items()}
    size = f"{populations.num_cells} cells" if populations.num_cells else "too few cells"
    return Table(
        head=[
            ["", *TITLES.values()],
            ["", "unbiased", "beyond chance", f"kernel width {number(populations.bandwidth, 2)}"],
        ],
        rows=[
            [name, *(_with_half(one, DIGITS[d]) for d, one in found.intervals.items())]
            for name, found in {**rows, **populations.marks}.items()
        ],
        caption=(
            f"Populations: distance from the true next cells, {size} on each side, on "
            f"{populations.num_axes} axes"
        ),
        marked=[MODEL],
    )


def calibration_table(evaluation: Evaluation) -> Table:
    """Whether probabilities are what they claim, and whether entropy tells the error."""
    rows = [
        [
            name,
            percent(row.calibration.expected_error, 2),
            number(row.calibration.entropy_vs_error, 2),
        ]
        for name, row in evaluation.rows.items()
    ]
    return Table(
        head=[["", "expected error", "entropy vs. error"], ["", "%", "spearman"]],
        rows=rows,
        caption="Calibration of the model and of each baseline",
        marked=[MODEL],
    )


def _positions(scores: PositionScores) -> list[str]:
    shares = (scores.top1, scores.top10, scores.top100)
    return [number(scores.cross_entropy), *(percent(share) for share in shares)]


def _whole(row: Scores) -> list[str]:
    cells, direction = row.whole.cells, row.whole.direction
    return [
        number(known_mean(cells.spearman), 2),
        percent(known_mean(cells.overlap[100])),
        percent(known_mean(direction.time_sign)),
    ]


def _with_half(found: Interval, digits: int) -> str:
    """A mean and half of its 95 % interval."""
    half = number(found.high - found.mean, digits)
    return f"{number(found.mean, digits)} \N{PLUS-MINUS SIGN} {half}"
