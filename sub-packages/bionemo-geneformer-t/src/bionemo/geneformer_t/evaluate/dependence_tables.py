"""Tables and sentences on what depends on the cell: change beside its null, variety of answers."""

from bionemo.geneformer_t.evaluate.answer_variety import LISTED
from bionemo.geneformer_t.evaluate.evaluation import Evaluation, Scores
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.row_names import MODEL, SIMILAR
from bionemo.geneformer_t.evaluate.scores.expression_change import known_mean
from bionemo.geneformer_t.table import Table, number, percent, signed, span

TRUTH = "true next cells"


def change_table(evaluation: Evaluation) -> Table:
    """Change and direction, their null, and the excess over it with its interval."""
    columns = ["value", "null", "excess", "95 % interval"]
    return Table(
        head=[
            ["", ("change of genes, pearson", 4), ("direction of the step, cosine", 4),
             ("change by rank", 2), ("across clusters", 2)],
            ["", *columns, *columns, "spearman", "excess", "cosine", "excess"],
        ],
        rows=[[name, *_change(row)] for name, row in evaluation.rows.items()],
        caption="Change from the current cell; the null shares the current cell, and the excess "
                "over it is what a prediction knows of its own cell",
        marked=[MODEL],
    )  # fmt: skip


def variety_table(evaluation: Evaluation) -> Table:
    """How much answers depend on the cell, beside how much true next cells do."""
    rows = [
        [
            name,
            f"{row.variety.distinct_lists:,}",
            number(row.variety.information),
            number(row.right_information.mean),
            span(row.right_information.low, row.right_information.high),
            percent(row.variety.fraction_between),
        ]
        for name, row in evaluation.rows.items()
    ]
    true = evaluation.true_variety
    rows.append([TRUTH, f"{true.distinct_lists:,}", "-", "-", "-", percent(true.fraction_between)])
    return Table(
        head=[
            ["", "distinct lists", ("information on the cell", 3), "variance"],
            ["", f"of {LISTED} genes", "claimed", "right", "95 % interval", "between cells"],
            ["", f"{evaluation.num_cells:,} cells", "nats", "nats", "nats", "%"],
        ],
        rows=rows,
        caption="How much the answer depends on the cell",
        marked=[MODEL],
    )


def answer_sentences(evaluation: Evaluation) -> list[str]:
    """How much the model's answer depends on the cell, and a warning where that is too little.

    The answer is warned of where giving every cell the average answer would do as well, or where
    it claims less information on the cell than the look-up of similar cells gets right: the
    information of calibrated answers is what they get right, so more is there to be had.
    """
    row, similar = evaluation.rows[MODEL], evaluation.rows.get(SIMILAR)
    right = row.right_information
    beside = (
        ""
        if similar is None
        else f"; {SIMILAR}: {similar.variety.distinct_lists:,} lists, "
        f"{similar.variety.information:.3f} and {_with_span(similar.right_information)}"
    )
    found = [
        f"Answers: {row.variety.distinct_lists:,} distinct lists of the {LISTED} highest genes for "
        f"{evaluation.num_cells:,} current cells (true next cells: "
        f"{evaluation.true_variety.distinct_lists:,}); they claim {row.variety.information:.3f} "
        f"nats per position of information on the cell, and {_with_span(right)} are right{beside}."
    ]
    verdict = right.verdict
    if verdict in {"worse", "no better"}:
        found.append(
            f"Warning: what {MODEL} answers does not depend on the cell in a way that helps: the "
            "average of its answers, given to every cell, does as well."
        )
    elif (
        verdict == "better"
        and similar is not None
        and similar.right_information.verdict == "better"
        and row.variety.information < similar.right_information.low
    ):
        found.append(
            f"Warning: what {MODEL} answers depends little on the cell: it claims less information "
            f"on it ({row.variety.information:.3f} nats per position) than {SIMILAR} get right (at "
            f"least {similar.right_information.low:.3f})."
        )
    return found


def null_sentence(evaluation: Evaluation) -> str:
    """Whether the model's change and direction are more than what the current cell gives away."""
    row, parts = evaluation.rows[MODEL], []
    for what, value, excess in (
        ("change of genes", known_mean(row.whole.cells.delta_pearson), row.change),
        ("direction", known_mean(row.whole.direction.cosine), row.direction),
    ):
        words = {"better": "above its null", "worse": "below its null",
                 "no better": "not above its null"}.get(excess.verdict, "no verdict")  # fmt: skip
        parts.append(
            f"{what} {number(value)}, of which {signed(excess.mean)} "
            f"({span(excess.low, excess.high)}) are more than partners of the same time and "
            f"cluster have: {words}"
        )
    linked = evaluation.linked_partners
    lowered = (
        f" {linked:.1%} of the partners follow or precede their cell in the graph, for want of "
        "others, which lowers the excess."
        if linked
        else ""
    )
    return f"Own cell: {'; '.join(parts)}.{lowered} Comparisons below are of these excesses."


def _change(row: Scores) -> list[str]:
    cells, direction = row.whole.cells, row.whole.direction
    crossing = row.whole.excess_across_clusters
    return [
        *_beside_null(known_mean(cells.delta_pearson), row.change),
        *_beside_null(known_mean(direction.cosine), row.direction),
        number(known_mean(cells.delta_spearman)),
        signed(known_mean(row.whole.excess_by_rank)),
        number(known_mean(direction.boundary_cosine)),
        signed(known_mean(crossing)),
    ]


def _beside_null(value: float, excess: Interval) -> list[str]:
    return [
        number(value),
        number(value - excess.mean),
        signed(excess.mean),
        span(excess.low, excess.high),
    ]


def _with_span(interval: Interval) -> str:
    return f"{interval.mean:.3f} ({span(interval.low, interval.high)})"
