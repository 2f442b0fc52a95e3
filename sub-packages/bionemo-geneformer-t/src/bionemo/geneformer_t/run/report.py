"""`geneformer-t report`: scores, figures and data of a checkpoint, on one page."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.run.evaluate import EvaluateSettings
from bionemo.geneformer_t.setting_values import require_at_least

if TYPE_CHECKING:
    from bionemo.geneformer_t.report.evaluated import Evaluated
    from bionemo.geneformer_t.report.fate_section import FateResults
    from bionemo.geneformer_t.report.perturbation_section import PerturbationResults
    from bionemo.geneformer_t.vocab import GeneVocab

REPORT = "report.html"
FIGURES = "report_figures"


@dataclass(frozen=True, kw_only=True)
class ReportSettings(EvaluateSettings):
    """What to report on, and where to write it.

    Raises:
        ValueError: `max_cells` or `num_genes` is negative.
    """

    output_dir: Path | None = None
    """Folder for report.html, its figures and evaluation.json; by default report/ in the folder of
    the training run."""
    genes: tuple[str, ...] = ()
    """Genes to show along the trajectory, as symbols or Ensembl ids, separated by commas or
    spaces."""
    fates: Path | None = None
    """An .h5ad with fates to draw on the page, from geneformer-t fates or gft.tl.fates. Those of
    another model's transitions are refused."""
    perturbation: Path | None = None
    """Effects of edited genes to show on the page, the .h5ad or .csv of geneformer-t perturb. An
    .h5ad also has effects by cluster, the ranks of the first genes along the trajectory and, if
    effects in cells were asked for (--with_cells), fates before and after."""
    num_genes: int = 8
    """Number of genes to show in addition; those that change most are chosen."""
    interactive: bool = True
    """Whether the page has a section in which cells, arrows, fates and genes can be explored. It
    takes scripts within the page; without it there are none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 0, "num_genes")
        if not self.genes and not self.num_genes:
            raise ValueError("num_genes may be 0 only where genes are named with genes")


@command(ReportSettings)
def report(settings: ReportSettings) -> Path:
    """Score a checkpoint and write report.html, a single file that needs no network.

    Returns the path of the page.
    """
    from dataclasses import fields

    from bionemo.geneformer_t.inference.checkpoint import summarise_checkpoint
    from bionemo.geneformer_t.run.evaluate import evaluate_checkpoint
    from bionemo.geneformer_t.training.run_files import run_dir

    checkpoint = summarise_checkpoint(settings.checkpoint)
    _check_genes(settings, checkpoint.vocab)  # before long work
    fates = _stored_fates(settings.fates, settings.cluster_key, checkpoint.fingerprint)
    perturbation = _stored_perturbation(
        settings.perturbation, checkpoint.fingerprint, settings.checkpoint
    )
    folder = settings.output_dir or run_dir(settings.checkpoint) / "report"
    given = {field.name: getattr(settings, field.name) for field in fields(EvaluateSettings)}
    evaluated = evaluate_checkpoint(EvaluateSettings(**{**given, "output_dir": folder}))
    return write_report(
        evaluated, folder, settings.genes, settings.num_genes, fates, perturbation,
        interactive=settings.interactive,
    )  # fmt: skip


def _stored_fates(path: Path | None, cluster_key: str | None, model: str) -> "FateResults | None":
    """Fates of cells, by transitions of the model with this fingerprint."""
    from bionemo.geneformer_t.counts.h5ad import backed_cells
    from bionemo.geneformer_t.run.fates_drawn import fate_results

    if path is None:
        return None
    cells = backed_cells(path, "fates")
    key = cluster_key if cluster_key in cells.obs else None
    return fate_results(cells, key, model)


def _stored_perturbation(
    path: Path | None, model: str, checkpoint: Path
) -> "PerturbationResults | None":
    """Effects of edited genes, of the model of this checkpoint, which has this fingerprint."""
    from functools import partial

    from bionemo.geneformer_t.inference.checkpoint import load_model
    from bionemo.geneformer_t.run.perturbation_drawn import perturbation_results

    if path is None:
        return None
    return perturbation_results(path, model, load=partial(load_model, checkpoint))


def _check_genes(settings: ReportSettings, vocab: "GeneVocab | None") -> None:
    """Refuse names that neither the checkpoint nor the data know."""
    from bionemo.geneformer_t.data.cell_store import CellStore
    from bionemo.geneformer_t.data.token_encoder import tokens_of_columns
    from bionemo.geneformer_t.inference.gene_symbols import symbols_of
    from bionemo.geneformer_t.report.contents import named_genes

    if vocab is None:
        raise ValueError(
            f"{settings.checkpoint} carries no vocabulary; give one that was trained on data"
        )
    if settings.genes:
        genes = CellStore.open(settings.data_dir / settings.split).genes
        symbols = symbols_of(vocab, genes, tokens_of_columns(genes, vocab))
        named_genes(settings.genes, vocab, symbols)


def write_report(
    evaluated: "Evaluated",
    folder: Path,
    genes: tuple[str, ...] = (),
    num_genes: int = ReportSettings.num_genes,
    fates: "FateResults | None" = None,
    perturbation: "PerturbationResults | None" = None,
    *,
    interactive: bool = ReportSettings.interactive,
) -> Path:
    """Write the page and its pictures from an evaluation, and print where they are.

    Args:
        evaluated: What `evaluate_checkpoint` returned.
        folder: Where report.html and the folder of pictures go.
        genes: Names of genes to follow.
        num_genes: How many more to choose.
        fates: Of some cells, where they were computed.
        perturbation: Effects of edited genes, where they were computed.
        interactive: Add the section in which cells can be explored.
    """
    from bionemo.geneformer_t.files import write_text
    from bionemo.geneformer_t.inference.checkpoint import summarise_checkpoint
    from bionemo.geneformer_t.report.contents import page_of, sections_of
    from bionemo.geneformer_t.report.page import pictures_of

    checkpoint = summarise_checkpoint(evaluated.checkpoint)
    sections = sections_of(
        evaluated, checkpoint, genes, num_genes, fates, perturbation, interactive=interactive
    )
    figures = folder / FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    for section in sections.values():
        for picture in pictures_of(section):
            picture.write(figures)
    path = folder / REPORT
    write_text(path, page_of(evaluated, checkpoint, sections))
    print(path)
    return path


if __name__ == "__main__":
    main(report)
