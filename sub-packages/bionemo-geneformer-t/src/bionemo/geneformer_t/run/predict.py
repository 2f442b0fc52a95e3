"""`geneformer-t predict`: the next cell of every cell of a file."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from bionemo.geneformer_t.config import EmbeddingSettings, InferencePrecision
from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.setting_values import Settings, require_at_least, require_fraction

if TYPE_CHECKING:
    import pandas as pd

    from bionemo.geneformer_t.counts.source import CountSource
    from bionemo.geneformer_t.inference.asked_gaps import AskedGaps
    from bionemo.geneformer_t.inference.cell_marks import CellMarks
    from bionemo.geneformer_t.inference.next_cell import NextCells
    from bionemo.geneformer_t.model.next_cell_model import NextCellModel

ENDINGS = (".csv", ".h5ad")
_PREVIEW = 3


@dataclass(frozen=True, kw_only=True)
class PredictSettings(Settings):
    """What to predict from, with what, and where to.

    Raises:
        ValueError: The output is of an unknown kind, or a number is not positive.
    """

    checkpoint: Path
    """Checkpoint of a trained model, with its vocabulary and medians."""
    input: Path
    """Raw counts: an .h5ad, .zarr, .loom or 10x .h5 file, a 10x mtx folder, or a folder such as
    data/test."""
    output: Path
    """File to write: a .csv with one row for each cell and rank, or an .h5ad with cells x
    genes."""
    layer: str | None = None
    """Layer of the file with the raw counts; by default X."""
    use_raw: bool = False
    """Read counts and genes from raw instead of X."""
    round_counts: bool = False
    """Round expected counts (RSEM, Salmon, alevin, kallisto, STARsolo with EM) to the nearest whole
    number; values below one half become 0. Without this option, fractional counts are refused."""
    expected_ranks: bool = True
    """In an .h5ad, also write the expected normalised rank of every gene, its change against the
    current cell, and its difference from the average prediction."""
    num_predictions: int = 10
    """Number of ranks of the next cell to predict, from the top."""
    time_gap: tuple[str, ...] | None = None
    """How far ahead to predict, for a model that was trained with time_gap_key: one number or
    several, in the unit of the model, or with a unit of time (`"3 days"`). An .h5ad holds one."""
    batch_size: int = 16
    """Number of cells to predict at once."""
    max_tokens_per_batch: int | None = None
    """Alternative to batch_size: largest number of tokens to process at once, including the
    predicted ranks."""
    precision: InferencePrecision = "32-true"
    """Number format of matrix products: float32 (`32-true`), or bfloat16 (`bf16-mixed`), which is
    faster on GPUs and on CPUs with avx512_bf16 or AMX, and keeps about three digits."""
    min_mapped_counts: float = EmbeddingSettings.min_mapped_counts
    """Smallest fraction of the counts that must belong to genes of the checkpoint's vocabulary."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output.suffix not in ENDINGS:
            raise ValueError(f"output must end in {' or '.join(ENDINGS)}; got {self.output}")
        if self.time_gap is not None and len(self.time_gap) > 1 and self.output.suffix != ".csv":
            raise ValueError(
                f"time_gap: an .h5ad holds the next cells of one gap; got {len(self.time_gap)} and "
                f"{self.output}. Give one, or write a .csv"
            )
        require_at_least(self, 1, "num_predictions", "batch_size", "max_tokens_per_batch")
        require_fraction(self, "min_mapped_counts")


@command(PredictSettings)
def predict(settings: PredictSettings) -> Path:
    """Predict the top-ranked genes of the next cell of every cell, and write them to a file.

    Cells are read and predicted block by block. Cells that express no gene of the checkpoint's
    vocabulary are left out, and their number is reported. If most of the counts belong to genes
    outside the vocabulary, the input is refused. Training cells of the checkpoint, and cells of the
    last time point that it was trained on, are marked and counted, as far as this is known.
    """
    import numpy as np

    from bionemo.geneformer_t.data.cell_store import H5AD
    from bionemo.geneformer_t.files import require_other_file, require_writable
    from bionemo.geneformer_t.inference.asked_gaps import asked_gaps
    from bionemo.geneformer_t.inference.cell_marks import CellMarks
    from bionemo.geneformer_t.inference.cell_reader import CellReader
    from bionemo.geneformer_t.inference.checkpoint import load_model
    from bionemo.geneformer_t.inference.gene_symbols import readable_names, symbols_of
    from bionemo.geneformer_t.inference.next_cell import predict_next_cells
    from bionemo.geneformer_t.inference.prediction_file import write_predictions
    from bionemo.geneformer_t.progress import Progress

    require_writable(settings.output)
    source_file = settings.input / H5AD if settings.input.is_dir() else settings.input
    require_other_file(settings.output, {"input": source_file, "checkpoint": settings.checkpoint})
    model = load_model(settings.checkpoint, settings.precision)
    asked = None if settings.time_gap is None else asked_gaps(model, settings.time_gap)
    with (
        _counts(model, settings) as (source, given, notes, obs),
        Progress("predicting", source.shape[0], "cell") as bar,
    ):
        reader = CellReader(model, source, settings.min_mapped_counts, str(settings.input))
        marks = CellMarks(model.training_cells, obs)
        predicted = predict_next_cells(
            model,
            marks.following(reader.blocks()),
            settings.num_predictions,
            batch_size=settings.batch_size,
            max_tokens_per_batch=settings.max_tokens_per_batch,
            time_gaps=None if asked is None else asked.gaps,
            with_ranks=settings.expected_ranks and settings.output.suffix == ".h5ad",
            on_cells=bar.update,
        )
        first = next(predicted)
        blocks = chain([first], predicted)
        symbols = symbols_of(first.vocab, source.genes, reader.encoder.token_of_column)
        if settings.output.suffix == ".csv":
            _write_csv(blocks, source.cell_ids, symbols, marks, asked, settings.output)
        else:
            params = _params(settings, model, asked)
            write_predictions(blocks, source.cell_ids, symbols, settings.output, params, marks)
    print(
        f"{reader.num_cells - reader.num_empty:,} cells predicted, {reader.num_empty:,} left out "
        f"because they express no known gene; {reader.num_known:,} of "
        f"{reader.num_known + reader.num_unknown:,} genes of the input are known to the checkpoint"
    )
    told = () if asked is None else asked.notes()
    for note in (*notes, *given.notes_on_rounding, *reader.notes(), *marks.notes(), *told):
        print(f"note: {note}")
    readable = readable_names(first.vocab, symbols)
    for row, cell in enumerate(first.cells[:_PREVIEW]):
        print(f"  {source.cell_ids[cell]}: {' '.join(readable[first.token_ids[row]])}")
        if first.ranks is not None:
            rising = np.argsort(-first.ranks.change[row], kind="stable")
            genes = readable[first.vocab.gene_ids[rising[: settings.num_predictions]]]
            print(f"    rising against the current cell: {' '.join(genes)}")
    print(settings.output)
    return settings.output


@contextmanager
def _counts(
    model: "NextCellModel", settings: PredictSettings
) -> "Iterator[tuple[CountSource, CountSource, tuple[str, ...], pd.DataFrame | None]]":
    """The counts of the input in whole rows, as they are in it, notes on which these are, and obs.

    An SCDL archive has no obs.
    """
    from bionemo.geneformer_t.counts.formats import MatrixChoice, open_input
    from bionemo.geneformer_t.counts.row_order import row_wise
    from bionemo.geneformer_t.counts.scdl import archive_source, is_archive
    from bionemo.geneformer_t.data.cell_store import ARCHIVE, H5AD
    from bionemo.geneformer_t.inference.checkpoint import check_vocab

    path = settings.input
    choice = MatrixChoice(
        layer=settings.layer, use_raw=settings.use_raw, round_counts=settings.round_counts
    )
    if path.is_dir():
        check_vocab(model, path)
    archive = next((folder for folder in (path, path / ARCHIVE) if is_archive(folder)), None)
    if (path / H5AD).is_file():
        path /= H5AD
    elif archive is not None:
        if not choice.is_default:
            raise KeyError(
                f"{path} is an SCDL archive, which holds one matrix of counts; leave "
                f"{choice.options.layer.format('NAME')}, {choice.options.raw} and "
                f"{choice.options.rounding} out"
            )
        source = archive_source(archive)
        yield source, source, (), None
        return
    with open_input(path, choice) as opened, row_wise(opened.counts) as rows:
        yield rows, opened.counts, opened.notes, opened.obs


def tidy(
    predicted: "NextCells",
    names: Sequence[str],
    symbols: Sequence[str],
    marks: "CellMarks",
    asked: "AskedGaps | None" = None,
) -> "pd.DataFrame":
    """One line for each cell and rank: cell, rank, gene, probability, symbols if any is known.

    Args:
        predicted: Genes of the first ranks.
        names: Of all current cells.
        symbols: Of each token; empty where it is not known.
        marks: What is known of the cells; a column for each mark.
        asked: The time gaps that were asked for; that of the prediction becomes a column, beside
            whether it is outside those of training.
    """
    import numpy as np
    import pandas as pd

    num_cells, num_ranks = predicted.token_ids.shape
    return pd.DataFrame(
        {
            "cell": np.repeat([names[cell] for cell in predicted.cells], num_ranks),
            **_gap_columns(predicted, asked),
            "rank": np.tile(np.arange(1, num_ranks + 1), num_cells),
            "gene": predicted.genes.ravel(),
            "probability": predicted.probabilities.ravel(),
            **(
                {"symbol": np.array(symbols, dtype=object)[predicted.token_ids.ravel()]}
                if any(symbols)
                else {}
            ),
            **{
                name: np.repeat(values, num_ranks)
                for name, values in marks.of(predicted.cells).items()
            },
        }
    )


def _gap_columns(predicted: "NextCells", asked: "AskedGaps | None") -> dict[str, object]:
    if asked is None or predicted.time_gap is None:
        return {}
    (place,) = (asked.gaps == predicted.time_gap).nonzero()[0]
    return {"time_gap": predicted.time_gap, "outside_trained_gaps": bool(asked.is_outside[place])}


def _write_csv(
    blocks: "Iterable[NextCells]",
    names: Sequence[str],
    symbols: Sequence[str],
    marks: "CellMarks",
    asked: "AskedGaps | None",
    path: Path,
) -> None:
    from bionemo.geneformer_t.files import whole_file

    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        for number, block in enumerate(blocks):
            table = tidy(block, names, symbols, marks, asked)
            table.to_csv(file, index=False, header=number == 0, float_format="%.6g")


def _params(
    settings: PredictSettings, model: "NextCellModel", asked: "AskedGaps | None"
) -> dict[str, object]:
    """What was predicted with what, as an .h5ad can hold it."""
    from bionemo.geneformer_t.inference.expected_ranks import ranks_that_count
    from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
    from bionemo.geneformer_t.inference.next_cell import genes_per_cell

    return {
        "num_predictions": settings.num_predictions,
        "num_ranks": ranks_that_count(model, genes_per_cell(model)),
        "layer": "X" if settings.layer is None else settings.layer,
        "use_raw": settings.use_raw,
        "round_counts": settings.round_counts,
        "precision": settings.precision,
        **(
            {} if asked is None else {"time_gap": float(asked.gaps[0]), "time_gap_unit": asked.unit}
        ),
        "checkpoint": settings.checkpoint.name,
        "model": model_fingerprint(model),
    }


if __name__ == "__main__":
    main(predict)
