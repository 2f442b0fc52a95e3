"""A report as one page that needs no other file and no network.

Only the section to explore has scripts. The page names them by their hashes and lets a browser
neither run another one nor load anything.

Each section is a function that computes what it shows; the words and the markup are in
`templates/report.html.j2`, which escapes all that it is given.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from bionemo.geneformer_t import __version__
from bionemo.geneformer_t.evaluate.arrows import Arrows
from bionemo.geneformer_t.evaluate.by_cluster import LEAST_CELLS, ClusterGains
from bionemo.geneformer_t.evaluate.evaluation import Evaluation
from bionemo.geneformer_t.evaluate.headline import Headline, graph_lesson
from bionemo.geneformer_t.evaluate.retrieval.retrieval import Retrieval
from bionemo.geneformer_t.evaluate.retrieval.retrieval_text import (
    retrieval_sentences,
    retrieval_tables,
)
from bionemo.geneformer_t.evaluate.row_names import MODEL
from bionemo.geneformer_t.evaluate.score_tables import calibration_table, score_tables
from bionemo.geneformer_t.evaluate.text import scored_sentences, verdicts
from bionemo.geneformer_t.evaluate.trends import GeneTrends
from bionemo.geneformer_t.inference.checkpoint import CheckpointSummary
from bionemo.geneformer_t.neighbors.quality.graph_warnings import graph_warnings
from bionemo.geneformer_t.report.checkpoint_facts import model_facts, training_facts
from bionemo.geneformer_t.report.figures.calibration_curve import calibration_figure
from bionemo.geneformer_t.report.figures.cell_map import CellMap
from bionemo.geneformer_t.report.figures.gains import GainPanel, gains_figure
from bionemo.geneformer_t.report.figures.gene_trends import LEAST_PLACES, trends_figure
from bionemo.geneformer_t.report.figures.graph_quality import Pictured, graph_quality_figure
from bionemo.geneformer_t.report.figures.loss_curve import loss_figure
from bionemo.geneformer_t.report.figures.next_cells import next_cells_figure
from bionemo.geneformer_t.report.figures.style import MODEL as MODEL_COLOR
from bionemo.geneformer_t.report.figures.style import REFERENCE
from bionemo.geneformer_t.report.graph_tables import graph_table, measures_explained
from bionemo.geneformer_t.report.legend import legend
from bionemo.geneformer_t.report.pictures import Picture
from bionemo.geneformer_t.report.tables import cluster_table, trend_table
from bionemo.geneformer_t.table import Table, number, with_minus

TEMPLATE = "report.html.j2"
MOST_DRAWN = 30
"""Clusters in the picture; the table holds all."""
Section = dict[str, Any]
"""What the template shows of one part of the page; its pictures are values of type `Picture`."""


def pictures_of(section: Section) -> list[Picture]:
    """All pictures of a section."""
    return [value for value in section.values() if isinstance(value, Picture)]


def page(title: str, under: str, verdict: str, sections: Mapping[str, Section]) -> str:
    """The whole page.

    Args:
        title: Its heading.
        under: What was looked at, in one line.
        verdict: What a reader in a hurry should know.
        sections: Names of the template's sections and what they show, in the order of reading.
    """
    environment = Environment(
        loader=PackageLoader("bionemo.geneformer_t.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["number"] = lambda value, digits=3: with_minus(number(value, digits))
    scripts = [text for section in sections.values() for text in section.get("scripts", ())]
    return environment.get_template(TEMPLATE).render(
        title=title,
        under=under,
        verdict=verdict,
        sections=sections,
        scripts=scripts,
        script_sources=" ".join(map(_source, scripts)) or "'none'",
        color=MODEL_COLOR,
        other=REFERENCE,
        version=__version__,
    )


def _source(script: str) -> str:
    """How a content security policy names an inline script."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def about(
    checkpoint: CheckpointSummary,
    changed_settings: Mapping[str, object],
    scored: Path,
    evaluation: Evaluation,
    where_from: str,
) -> Section:
    """The model, its training, and the cells that it was asked about.

    Args:
        checkpoint: What the checkpoint says of itself.
        changed_settings: Settings of the training that are not the defaults.
        scored: Folder of the split that was scored.
        evaluation: How many cells and pairs that were.
        where_from: A sentence on where times and clusters come from.
    """
    numbers = (
        f"{evaluation.num_cells:,} current cells, {evaluation.num_pairs:,} next cells, "
        f"{evaluation.num_positions:,} positions; {evaluation.num_changed:,} of the genes are new "
        "in the next cell"
    )
    facts = [("folder", str(scored)), ("scored", numbers), ("notes", where_from)]
    return {
        "model": Table.of_facts(model_facts(checkpoint), "The model"),
        "training": Table.of_facts(training_facts(checkpoint), "Its training"),
        "settings": changed_settings,
        "scored": Table.of_facts(facts, "What was scored"),
    }


def loss(metrics: Path | None) -> Section:
    """Training and validation loss over optimizer steps, and where the latter was lowest.

    Args:
        metrics: The `metrics.csv` of the run; None where it is not beside the checkpoint.
    """
    if metrics is None:
        return {"picture": None}
    table, column = pd.read_csv(metrics), "val/loss"
    known = table[["step", column]].dropna() if column in table else table.iloc[:0]
    best = known.iloc[int(known[column].to_numpy().argmin())] if len(known) else None
    return {
        "picture": Picture.of(loss_figure(table), "loss_curve"),
        # rows count steps from 0, checkpoints count the steps that were made
        "best": None if best is None else {"step": int(best["step"]) + 1, "loss": best[column]},
        "last": known[column].iloc[-1] if len(known) else None,
    }


def graph(graphs: Mapping[str, Pictured]) -> Section:
    """Measures and warnings of every split's graph, and the picture of the first.

    Args:
        graphs: Each split's graph, that of the training first.
    """
    first = next(iter(graphs.values()))
    qualities = (((split,), one.quality) for split, one in graphs.items())
    table = graph_table(qualities, [""], "The graph of successors in each split")
    return {
        "table": table,
        "explained": measures_explained(table),
        "warnings": [
            (split, warning.sentence)
            for split, one in graphs.items()
            for warning in graph_warnings(one.quality)
        ],
        "first": first,
        "picture": Picture.of(graph_quality_figure(first), "graph"),
    }


def scores(evaluation: Evaluation) -> Section:
    """All scores, and the verdicts as the terminal gives them."""
    gains = evaluation.advantages.values()
    panels = [
        GainPanel(title="all genes", unit="nats per position", gains=[g.all for g in gains]),
        GainPanel(title="new genes", unit="nats per position", gains=[g.changed for g in gains]),
        GainPanel(
            title="change of genes", unit="correlation above null", gains=[g.change for g in gains]
        ),
        GainPanel(title="direction", unit="cosine above null", gains=[g.direction for g in gains]),
    ]
    tokens, cells, changes, varieties, populations, _ = score_tables(evaluation)
    return {
        "legend": legend(evaluation),
        "scored": [
            *scored_sentences(evaluation),
            Headline.of(evaluation).sentence,
            graph_lesson(evaluation),
        ],
        "tokens": tokens,
        "verdicts": verdicts(evaluation),
        "picture": Picture.of(
            gains_figure([f"over {name}" for name in evaluation.advantages], panels), "gains"
        ),
        "cells": cells,
        "changes": changes,
        "varieties": varieties,
        "populations": populations,
    }


def retrieval(found: Retrieval | None) -> Section:
    """True successors among all cells, beside simple searches; nothing where it was not asked."""
    return {
        "tables": retrieval_tables(found),
        "sentences": [] if found is None else retrieval_sentences(found),
    }


def arrows(found: Arrows, where: CellMap) -> Section:
    """Arrows from current cells to their true successors, and to what is predicted."""
    return {
        "where": where,
        "cosine": found.cosine,
        "picture": Picture.of(next_cells_figure(found, where), "next_cells"),
    }


def genes(
    trends: GeneTrends,
    names: Sequence[str],
    place_name: str,
    labels: Mapping[float, str] | None = None,
) -> Section:
    """Genes that were named and those that change most.

    Args:
        trends: The curves.
        names: What the genes are called, in their order.
        place_name: What places on the trajectory are, such as a column of obs.
        labels: What time points are called.
    """
    is_drawn = len(names) > 0 and len(trends.position) >= LEAST_PLACES
    picture = trends_figure(trends, names, place_name, labels) if is_drawn else None
    return {
        "trends": trends,
        "names": names,
        "place": place_name,
        "table": trend_table(trends, names),
        "picture": None if picture is None else Picture.of(picture, "gene_trends"),
    }


def clusters(gains: ClusterGains | None) -> Section:
    """Gains in nats per position, with intervals over the cells and donors of the cluster.

    Args:
        gains: None where clusters are not known.
    """
    if gains is None or not gains.clusters:
        return {"gains": gains, "least": LEAST_CELLS, "picture": None}
    drawn = gains.clusters[:MOST_DRAWN]
    panel = GainPanel(
        title=f"over {gains.baseline}",
        unit="gain in nats per position",
        gains=[one.gain for one in drawn],
    )
    return {
        "gains": gains,
        "least": LEAST_CELLS,
        "num_drawn": len(drawn),
        "table": cluster_table(gains.clusters),
        "picture": Picture.of(
            gains_figure([one.cluster for one in drawn], [panel]), "skill_by_cluster"
        ),
    }


def calibration(evaluation: Evaluation) -> Section:
    """Reliability of probabilities, and entropy against error."""
    own = evaluation.rows[MODEL]
    return {
        "correlation": own.calibration.entropy_vs_error,
        "table": calibration_table(evaluation),
        "picture": Picture.of(calibration_figure(own.calibration, own.reliability), "calibration"),
    }
