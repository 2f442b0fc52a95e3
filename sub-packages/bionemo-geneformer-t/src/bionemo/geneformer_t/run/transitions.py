"""`geneformer-t transitions`: which cells of a file each cell goes to, as a sparse matrix."""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bionemo.geneformer_t.config import InferencePrecision
from bionemo.geneformer_t.model.transition_settings import KEY, TransitionSettings
from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.run.embed import input_file
from bionemo.geneformer_t.setting_values import require_key

if TYPE_CHECKING:
    from bionemo.geneformer_t.counts.formats import InputFile
    from bionemo.geneformer_t.fates.streamed_transitions import Transitions
    from bionemo.geneformer_t.model.next_cell_model import NextCellModel


@dataclass(frozen=True, kw_only=True)
class TransitionsCommandSettings(TransitionSettings):
    """Which cells go where, by which model, and where to write it.

    Raises:
        ValueError: The output is no .h5ad, a number is out of range, or there is nothing to do.
    """

    checkpoint: Path
    """Checkpoint of a trained model, with its vocabulary and medians."""
    input: Path | None = None
    """An .h5ad with raw counts, or a folder such as data/test."""
    output: Path | None = None
    """The .h5ad to write: a copy of the input with the matrix in obsp, which can be the input file
    itself; with candidates, a new file with the matrix as X."""
    candidates: Path | None = None
    """An .h5ad or folder with other cells to go to, such as an atlas; by default the cells of the
    input."""
    data_dir: Path | None = None
    """A data folder. If given, temperature, ranks, use of the memory and number of successors are
    first fitted on the successors of its validation cells and written into the checkpoint. Training
    does the same at its end."""
    key_added: str = KEY
    """Key of the matrix in obsp, and of how it was made in uns."""
    layer: str | None = None
    """Layer of the files with the raw counts; by default X."""
    use_raw: bool = False
    """Read counts and genes from raw instead of X."""
    round_counts: bool = False
    """Round expected counts (RSEM, Salmon, alevin, kallisto, STARsolo with EM) to the nearest whole
    number; values below one half become 0. Without this option, fractional counts are refused."""
    precision: InferencePrecision = "32-true"
    """Number format of matrix products: float32 (`32-true`), or bfloat16 (`bf16-mixed`), which is
    faster on GPUs and on CPUs with avx512_bf16 or AMX, and keeps about three digits."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_key("key_added", self.key_added)
        if (self.input is None) != (self.output is None):
            raise ValueError("give input and output together, or neither to fit on data_dir alone")
        if self.input is None and self.data_dir is None:
            raise ValueError(
                "nothing to do: give input and output to write transitions, or data_dir to fit "
                "them to a checkpoint"
            )
        if self.output is not None and self.output.suffix != ".h5ad":
            raise ValueError(f"output must end in .h5ad; got {self.output}")


@command(TransitionsCommandSettings)
def transitions(settings: TransitionsCommandSettings) -> Path:
    """Write the probabilities that each cell goes to each other one, as a sparse matrix.

    A candidate's score is its log-probability as the next cell, minus the log of its mean
    probability over reference cells. A softmax over the candidates with the highest scores gives
    the probabilities. Cells are read and scored block by block; memory grows with the number of
    probabilities that are kept. Cells without candidates, as at the last time point, stay where
    they are with probability 1, and their number is reported.
    """
    from bionemo.geneformer_t.files import require_other_file, require_writable
    from bionemo.geneformer_t.inference.checkpoint import load_model

    if settings.output is not None:
        require_writable(settings.output)
        require_other_file(settings.output, _not_copied(settings))
    if settings.data_dir is not None:
        _fit(settings.checkpoint, settings.data_dir)
    if settings.input is None or settings.output is None:
        return settings.checkpoint
    model = load_model(settings.checkpoint, settings.precision)
    with ExitStack() as stack:
        paths = [path for path in (settings.input, settings.candidates) if path is not None]
        opened = [stack.enter_context(_opened(model, path, settings)) for path in paths]
        found = _transitions(model, opened, settings)
        notes = [note for one in opened for note in (*one.notes, *one.counts.notes_on_rounding)]
        names = [one.counts.cell_ids for one in opened]
    _write(found, input_file(settings.input), names, settings)
    _print_summary(found)
    for note in (*notes, *found.notes):
        print(f"note: {note}")
    print(settings.output)
    return settings.output


def _not_copied(settings: TransitionsCommandSettings) -> dict[str, Path]:
    """The files that are read and whose content is not in the output, by setting."""
    read = {"checkpoint": settings.checkpoint}
    if settings.input is not None and settings.candidates is not None:
        read["input"] = input_file(settings.input)
        read["candidates"] = input_file(settings.candidates)
    return read


def _fit(checkpoint: Path, data_dir: Path) -> None:
    from bionemo.geneformer_t.data.folder import TRAIN, VAL, check_folder, split_folders
    from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
    from bionemo.geneformer_t.model.next_cell_model import settings_of
    from bionemo.geneformer_t.training.add_canonical_axes import add_canonical_axes
    from bionemo.geneformer_t.training.add_transitions import add_transitions

    model = load_model(checkpoint)
    check_folder(data_dir)
    folders = split_folders(data_dir)
    training = open_split(model, folders[TRAIN], as_trained=True)
    validation = open_split(model, folders[VAL]) if VAL in folders else None
    seed = settings_of(model).seed
    add_canonical_axes(checkpoint, training, validation, seed, again=True)
    fit = add_transitions(checkpoint, training, validation, seed, again=True)
    if fit is None:
        raise ValueError(
            f"data_dir: no cell of {data_dir}/val has a successor, so that no transitions can be "
            "fitted; give the folder that the model was trained on, with validation cells, or "
            "leave data_dir out to use default settings"
        )
    print(f"fitted: {fit}")
    print(checkpoint)


def _opened(
    model: "NextCellModel", path: Path, settings: TransitionsCommandSettings
) -> "AbstractContextManager[InputFile]":
    """An input, whose counts are read in whole rows."""
    from bionemo.geneformer_t.counts.formats import MatrixChoice
    from bionemo.geneformer_t.counts.h5ad import h5ad_input
    from bionemo.geneformer_t.inference.checkpoint import check_vocab

    if path.is_dir():
        check_vocab(model, path)
    choice = MatrixChoice(
        layer=settings.layer, use_raw=settings.use_raw, round_counts=settings.round_counts
    )
    return h5ad_input(input_file(path), choice)


def _transitions(
    model: "NextCellModel", opened: "list[InputFile]", settings: TransitionsCommandSettings
) -> "Transitions":
    from bionemo.geneformer_t.counts.row_order import row_wise
    from bionemo.geneformer_t.fates.streamed_transitions import CellInput, streamed_transitions
    from bionemo.geneformer_t.progress import Progress

    with ExitStack() as stack:
        held = [
            CellInput(source=stack.enter_context(row_wise(one.counts)), obs=one.obs)
            for one in opened
        ]
        total = held[0].source.shape[0] + held[-1].source.shape[0]
        with Progress("transitions", total, "cell") as bar:
            return streamed_transitions(
                model, held[0], held[1] if len(held) > 1 else None, settings, bar.update
            )


def _write(
    found: "Transitions",
    source: Path,
    names: list[tuple[str, ...]],
    settings: TransitionsCommandSettings,
) -> None:
    """Into a copy of the input, or where it is not square into a file of its own."""
    import anndata
    import pandas as pd

    from bionemo.geneformer_t.counts.update_h5ad import add_value, updated_copy
    from bionemo.geneformer_t.files import whole_file

    assert settings.output is not None
    key = settings.key_added
    read = {
        "layer": "X" if settings.layer is None else settings.layer,
        "use_raw": settings.use_raw,
        "round_counts": settings.round_counts,
        "checkpoint": settings.checkpoint.name,
    }
    how = {**found.how, "params": {**found.how["params"], **read}}
    if found.is_square:
        with updated_copy(source, settings.output, {"obsp": (key,), "uns": (key,)}) as file:
            add_value(file, "obsp", key, found.matrix)
            add_value(file, "uns", key, how)
        return
    rows, columns = (pd.DataFrame(index=pd.Index(ids, dtype=str)) for ids in names)
    with whole_file(settings.output) as partial:
        anndata.AnnData(found.matrix, obs=rows, var=columns, uns={key: how}).write_h5ad(partial)


def _print_summary(found: "Transitions") -> None:
    import numpy as np
    from scipy.special import entr

    matrix, params = found.matrix, found.how["params"]
    scored = matrix.shape[0] - found.how["num_empty_cells"]
    scored -= found.how["num_cells_without_candidates"]
    degrees = np.diff(matrix.indptr)
    effective = ""
    if (degrees > 1).any():  # other rows are certain, which adds no entropy to the rows before
        entropies = np.add.reduceat(entr(matrix.data), matrix.indptr[:-1][degrees > 1])
        effective = (
            f"; effective number of successors at the median {np.exp(np.median(entropies)):.1f}"
        )
    axes = f", canonical axes with weight {weight:.3g}" if (weight := params["axes_weight"]) else ""
    print(
        f"{scored:,} cells go to up to {params['num_successors']} of "
        f"{found.how['num_candidates']:,} candidates each, {matrix.nnz:,} probabilities in all"
        f"{effective}; temperature {params['temperature']:.3g}, {params['num_ranks']} ranks, "
        f"{'with' if params['use_memory'] else 'without'} a kNN memory{axes}"
    )


if __name__ == "__main__":
    main(transitions)
