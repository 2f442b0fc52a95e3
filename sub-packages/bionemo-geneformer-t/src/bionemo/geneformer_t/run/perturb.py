"""`geneformer-t perturb`: what editing a gene changes of what follows, as a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.fates.driver_settings import DRIVERS
from bionemo.geneformer_t.perturbation.perturb_settings import PERTURBATION, PerturbSettings
from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.run.embed import input_file
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    from bionemo.geneformer_t.model.next_cell_model import NextCellModel
    from bionemo.geneformer_t.perturbation.result import Perturbation


@dataclass(frozen=True, kw_only=True)
class PerturbCommandSettings(PerturbSettings):
    """Which genes are edited in which cells, by which model, and where to write the effects.

    Raises:
        TypeError: A value is of another type than its field.
        ValueError: The output is no .csv, or a number is out of range.
    """

    checkpoint: Path
    """Checkpoint of a trained model, with its vocabulary and medians."""
    input: Path
    """An .h5ad with raw counts, and with transitions and fates as geneformer-t transitions and
    geneformer-t fates write them."""
    output: Path
    """The .csv to write, with one row for each readout and gene; or an .h5ad, a copy of the input
    with this table in uns and, if they are asked for, effects in cells and changes of ranks. Beside
    a .csv, NAME.about.json says what the effects are of, and NAME.estimates.csv has the estimates
    of a screen; an .h5ad holds both. While it is being computed, sums are kept beside it, from
    which an interrupted run goes on. What is there from the same run is not computed again, and
    effects of another run are not overwritten."""
    key_added: str = PERTURBATION
    """What the names of entries of an .h5ad output begin with."""
    controls: bool = False
    """Also perturb a model of the same sizes with random weights, and the model that was trained on
    shuffled successors. What they find is found without a graph."""
    shuffled_checkpoint: Path | None = None
    """Checkpoint of the model that was trained with shuffle_successors; by default the one that
    `train --controls` left beside the checkpoint."""
    seed_checkpoints: tuple[Path, ...] = ()
    """Checkpoints of models that were trained with other seeds on the same data. If given, they are
    perturbed too, and the agreement of their effects (Kendall's tau) is printed."""
    layer: str | None = None
    """Layer with the raw counts; by default X."""
    use_raw: bool = False
    """Read counts and genes from raw instead of X."""
    round_counts: bool = False
    """Round expected counts to the nearest whole number."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_key("key_added", self.key_added)
        if self.output.suffix not in {".csv", ".h5ad"}:
            raise ValueError(f"output must end in .csv or .h5ad; got {self.output}")
        if self.output.suffix == ".csv" and (self.with_cells or self.with_ranks):
            raise ValueError(
                "effects in cells (with_cells) and changes of ranks (with_ranks) are tables of "
                f"their own, which a .csv does not hold; give an output .h5ad, not {self.output}"
            )


@command(PerturbCommandSettings)
def perturb(settings: PerturbCommandSettings) -> Path:
    """Write what editing genes changes of the next cell: of its fate, its pseudotime, its row.

    Every gene is edited in every chosen cell that has it, the edited cell is read by the model, and
    the mean of the change over cells is compared with the changes that matched genes make. A model
    knows what goes together in its data: effects are associations, and no experiment. Genes are
    counted and named as found at q < 0.05 (false discovery rate), as by `drivers`; the table has
    all.
    """
    from bionemo.geneformer_t.files import require_writable
    from bionemo.geneformer_t.inference.checkpoint import load_model
    from bionemo.geneformer_t.perturbation.perturb_text import summary
    from bionemo.geneformer_t.perturbation.processes import joined_processes
    from bionemo.geneformer_t.perturbation.saved_sums import remove_saved
    from bionemo.geneformer_t.run.perturb_output import (
        RECORD,
        estimates_path,
        is_done,
        paths_of,
        record_of,
        write_output,
    )

    for path in paths_of(settings):
        require_writable(path)
    model = load_model(settings.checkpoint)
    controls, about = _controls(model, settings)
    seeds = [load_model(path) for path in settings.seed_checkpoints]
    for path, other in zip(settings.seed_checkpoints, seeds, strict=True):
        if other.required_vocab().fingerprint != model.required_vocab().fingerprint:
            raise ValueError(
                f"seed_checkpoints: {path} has another vocabulary than the model; give models that "
                "were trained on the same data folder"
            )
    source = input_file(settings.input)
    record = record_of(settings, source, {"model": model, **controls}, seeds)
    if is_done(settings, record):
        print(f"{settings.output} already contains these effects; nothing was computed")
        return settings.output
    with joined_processes() as processes:
        found = _perturbed(model, controls, seeds, settings, processes)
        if processes.rank > 0:
            return settings.output
    notes = (*about, *found.notes)
    read = {"layer": settings.layer or "X", "use_raw": settings.use_raw}
    read["round_counts"] = settings.round_counts
    write_output(found, notes, {**read, RECORD: record}, source, settings)
    remove_saved(_saved(settings))
    for note in notes:
        print(f"note: {note}")
    print(summary(found))
    if settings.screen and settings.output.suffix == ".csv":
        print(f"estimates of all genes: {estimates_path(settings.output)}")
    print(settings.output)
    return settings.output


def _perturbed(
    model: "NextCellModel",
    controls: "dict[str, NextCellModel]",
    seeds: "list[NextCellModel]",
    settings: PerturbCommandSettings,
    processes: Any,
) -> "Perturbation":
    from bionemo.geneformer_t.counts.formats import MatrixChoice
    from bionemo.geneformer_t.counts.h5ad import h5ad_input
    from bionemo.geneformer_t.counts.row_order import row_wise
    from bionemo.geneformer_t.fates.streamed_transitions import CellInput
    from bionemo.geneformer_t.perturbation.perturb import perturb as perturb_cells
    from bionemo.geneformer_t.progress import Progress

    path = input_file(settings.input)
    choice = MatrixChoice(
        layer=settings.layer, use_raw=settings.use_raw, round_counts=settings.round_counts
    )
    fates, how, drivers, matrix = _stored(path, settings)
    with (
        h5ad_input(path, choice) as opened,
        row_wise(opened.counts) as source,
        Progress("perturb", unit="edited cell", is_shown=processes.rank == 0) as bar,
    ):
        return perturb_cells(
            model, CellInput(source=source, obs=opened.obs), fates, how, settings,
            transitions=matrix, drivers=drivers, controls=controls, seeds=seeds,
            saved=_saved(settings),
            processes=processes, on_contexts=bar.update, on_plan=bar.reset,
        )  # fmt: skip


def _saved(settings: PerturbCommandSettings) -> Path:
    """What the names of files with an unfinished run's sums begin with."""
    return settings.output.with_name(f".{settings.output.name}.sums")


def _stored(path: Path, settings: PerturbSettings) -> tuple[Any, Any, Any, Any]:
    """Fates, how transitions were made, driver genes, transitions; None for what is not there."""
    import scipy.sparse as sp
    from anndata.io import read_elem

    from bionemo.geneformer_t.counts.hdf5 import open_hdf5

    key = settings.transitions_key
    entries = (f"obsm/{settings.fates_key}", f"uns/{key}", f"uns/{DRIVERS}", f"obsp/{key}")
    with open_hdf5(path) as file:
        held = [file.get(entry) for entry in entries]
        fates, how, drivers, matrix = (None if one is None else read_elem(one) for one in held)
    return fates, how, drivers, None if matrix is None else sp.csr_array(matrix)


def _controls(
    model: "NextCellModel", settings: PerturbCommandSettings
) -> "tuple[dict[str, NextCellModel], list[str]]":
    """Random weights and shuffled graph, and what there is to say about them."""
    from bionemo.geneformer_t.inference.controls import load_shuffled, random_weights
    from bionemo.geneformer_t.training.run_files import run_dir
    from bionemo.geneformer_t.training.shuffled_control import find_control

    if not settings.controls and settings.shuffled_checkpoint is None:
        return {}, []
    found: dict[str, NextCellModel] = {}
    notes: list[str] = []
    path = settings.shuffled_checkpoint
    if path is None:
        beside = find_control(run_dir(settings.checkpoint))
        path = beside.checkpoint
        notes.append(
            beside.note
            or "no model with shuffled successors is beside the checkpoint (train --controls "
            "makes one); the control is random weights alone"
        )
    if path is not None:
        found["shuffled"], notes = load_shuffled(path, model), []
    if settings.controls:
        found["random"] = random_weights(model, settings.seed)
    return found, notes


if __name__ == "__main__":
    main(perturb)
