"""Everything that a report shows, and the order in which it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bionemo.geneformer_t.evaluate.arrows import Arrows
from bionemo.geneformer_t.evaluate.by_cluster import ClusterGains, best_baseline
from bionemo.geneformer_t.evaluate.evaluation import Evaluation
from bionemo.geneformer_t.evaluate.text import sentence
from bionemo.geneformer_t.evaluate.trends import GeneTrends
from bionemo.geneformer_t.inference.checkpoint_file import CheckpointSummary
from bionemo.geneformer_t.report.about_section import about_section
from bionemo.geneformer_t.report.arrow_section import arrow_section
from bionemo.geneformer_t.report.calibration_section import calibration_section
from bionemo.geneformer_t.report.cluster_section import cluster_section
from bionemo.geneformer_t.report.figures.cell_map import CellMap
from bionemo.geneformer_t.report.figures.graph_quality import Pictured
from bionemo.geneformer_t.report.graph_section import graph_section
from bionemo.geneformer_t.report.loss_section import loss_section
from bionemo.geneformer_t.report.page import Section, page
from bionemo.geneformer_t.report.score_section import score_section
from bionemo.geneformer_t.report.trend_section import trend_section


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The values of one report."""

    checkpoint: CheckpointSummary
    changed_settings: Mapping[str, object]
    """Settings of the training that are not the defaults; empty where they are not known."""
    metrics: Path | None
    """The losses of the training run."""
    scored: Path
    """Folder of the split that was scored."""
    where_from: str
    """A sentence on where times and clusters come from."""
    evaluation: Evaluation
    graphs: Mapping[str, Pictured]
    """The graph of each split, that of the training first."""
    where: CellMap
    arrows: Arrows
    trends: GeneTrends
    gene_names: tuple[str, ...]
    """What the genes of the trends are called."""
    place_name: str
    """What places on the trajectory are."""
    is_shuffled: bool
    """Whether the model learned from shuffled successors, as a control."""
    gains: ClusterGains | None
    """None where clusters are not known."""


def sections_of(contents: Contents) -> list[Section]:
    """The parts of the page in the order of reading: the answer first, then what it rests on."""
    return [
        about_section(
            contents.checkpoint,
            contents.changed_settings,
            contents.scored,
            contents.evaluation,
            contents.where_from,
        ),
        loss_section(contents.metrics),
        graph_section(contents.graphs),
        score_section(contents.evaluation),
        arrow_section(contents.arrows, contents.where),
        trend_section(contents.trends, contents.gene_names, contents.place_name),
        cluster_section(contents.gains),
        calibration_section(contents.evaluation),
    ]


def page_of(contents: Contents, sections: list[Section]) -> str:
    """The whole page; its verdict is the comparison with the best baseline."""
    best = best_baseline(contents.evaluation)
    trained = contents.checkpoint.provenance
    control = " (trained on shuffled successors: a control)" if contents.is_shuffled else ""
    return page(
        f"Next-cell report: {trained.data_name if trained else contents.scored}",
        f"{contents.checkpoint.path}{control} on {contents.scored}",
        f"Beside the best baseline: {sentence(best, contents.evaluation.advantages[best].all)}",
        sections,
    )
