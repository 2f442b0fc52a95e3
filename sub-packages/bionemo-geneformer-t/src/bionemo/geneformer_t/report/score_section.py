"""The score table with baselines and intervals, and what it means in words."""

from bionemo.geneformer_t.evaluate.evaluation import Evaluation
from bionemo.geneformer_t.evaluate.text import summary
from bionemo.geneformer_t.report.figures.gains import GainPanel, gains_figure
from bionemo.geneformer_t.report.markup import Html, element, items, joined, paragraph
from bionemo.geneformer_t.report.page import Section
from bionemo.geneformer_t.report.pictures import Picture
from bionemo.geneformer_t.report.score_tables import cell_table, population_table, token_table

_INDENT = "   "
"""What begins the lines of `summary` that belong to the line before."""


def score_section(evaluation: Evaluation) -> Section:
    """All scores, and the verdicts as the terminal gives them."""
    gains = evaluation.advantages.values()
    panels = [
        GainPanel(title="all genes", unit="nats per position", gains=[g.all for g in gains]),
        GainPanel(title="new genes", unit="nats per position", gains=[g.changed for g in gains]),
        GainPanel(title="change of genes", unit="correlation", gains=[g.change for g in gains]),
        GainPanel(title="direction", unit="cosine", gains=[g.direction for g in gains]),
    ]
    picture = Picture.of(
        gains_figure([f"over {name}" for name in evaluation.advantages], panels),
        "gains",
        "What the model gains over each baseline in four measures, with 95 % intervals; the "
        "sentences above say the same.",
    )
    lines = summary(evaluation).splitlines()
    # what was scored comes first; verdicts begin with the first sentence that has details
    start = next(i for i, line in enumerate(lines) if line.startswith(_INDENT)) - 1
    return Section(
        name="scores",
        title="Scores beside baselines",
        body=[
            *(paragraph(line) for line in lines[:start]),
            token_table(evaluation),
            _sentences(lines[start:]),
            picture.shown(),
            paragraph(
                element(
                    "small",
                    "Gains with 95 % intervals, paired by cell. Blue: better "
                    "beyond the interval; orange: worse; grey: no better, or too few cells or "
                    "donors to tell. A figure at the edge "
                    "stands for a gain that lies beyond it.",
                )
            ),
            cell_table(evaluation),
            population_table(evaluation),
        ],
        pictures=[picture],
    )


def _sentences(lines: list[str]) -> Html:
    """Lines of `summary`; an indented one stands small under the one before."""
    groups: list[list[str]] = []
    for line in lines:
        if line.startswith(_INDENT) and groups:
            groups[-1].append(line.strip())
        else:
            groups.append([line.strip()])
    return items(
        joined(
            [sentence, *(joined([element("br"), element("small", detail)]) for detail in details)]
        )
        for sentence, *details in groups
    )
