"""`geneformer-t predict`: the next cell of every cell of a file."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.setting_values import Settings

if TYPE_CHECKING:
    import pandas as pd

    from bionemo.geneformer_t.data.cell_tokens import CellTokens
    from bionemo.geneformer_t.inference.next_cell import NextCells
    from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

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
    """A .csv with one row for each cell and rank, or an .h5ad with one row for each cell."""
    layer: str | None = None
    """Layer of the file with the raw counts; by default X."""
    use_raw: bool = False
    """Read counts and genes from raw."""
    round_counts: bool = False
    """Round expected counts (RSEM, Salmon, alevin, kallisto, STARsolo with EM) to the nearest whole
    number; values below one half become 0. Without this option, fractional counts are refused."""
    num_predictions: int = 10
    """Number of top ranks of the next cell to predict."""
    batch_size: int = 16
    """Cells to predict at once."""
    max_tokens_per_batch: int | None = None
    """Alternatively, tokens to predict at once, at most, including the predicted ones."""
    min_mapped_counts: float = EmbeddingSettings.min_mapped_counts
    """Smallest fraction of the counts that must be on genes of the checkpoint's vocabulary."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output.suffix not in ENDINGS:
            raise ValueError(f"output must end in {' or '.join(ENDINGS)}; got {self.output}")
        for name in ("num_predictions", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.max_tokens_per_batch is not None and self.max_tokens_per_batch < 1:
            raise ValueError(
                f"max_tokens_per_batch must be at least 1; got {self.max_tokens_per_batch}"
            )
        if not 0 <= self.min_mapped_counts <= 1:
            raise ValueError(f"min_mapped_counts must be in [0, 1]; got {self.min_mapped_counts}")


@command(PredictSettings)
def predict(settings: PredictSettings) -> Path:
    """Predict the highest-ranked genes of the next cell of every cell, and write them to a file.

    Cells that express no gene of the checkpoint's vocabulary are left out, and counted; an input
    most of whose counts are on unknown genes is refused.
    """
    import numpy as np

    from bionemo.geneformer_t.data.gene_coverage import notes_on_left_out
    from bionemo.geneformer_t.data.inventory import read_by
    from bionemo.geneformer_t.inference.checkpoint import load_model
    from bionemo.geneformer_t.inference.known_counts import check_mapped_counts
    from bionemo.geneformer_t.inference.next_cell import predict_next_cells
    from bionemo.geneformer_t.inference.rank_distributions import required_vocab
    from bionemo.geneformer_t.run.progress import bar

    model = load_model(settings.checkpoint)
    with ExitStack() as stack:
        tokens, notes = _tokens(model, settings, stack)
        share, _ = read_by(tokens.store, tokens.token_of_column)
        notes = (*notes, *notes_on_left_out(tokens.store, tokens.token_of_column))
        check_mapped_counts(
            share,
            settings.min_mapped_counts,
            tokens.store.gene_names,
            tokens.is_known_or_left_out,
            required_vocab(model),
            str(settings.input),
        )
        predicted = predict_next_cells(
            model,
            tokens.encode,
            np.arange(len(tokens)),
            settings.num_predictions,
            batch_size=settings.batch_size,
            max_tokens_per_batch=settings.max_tokens_per_batch,
            progress=lambda batches: bar("predicting", batches, len(batches)),
        )
        names = tokens.store.cell_ids
        known = (
            f"{tokens.num_genes_known:,} of {tokens.num_genes_known + tokens.num_genes_unknown:,}"
        )
    writers = {".csv": _write_csv, ".h5ad": _write_h5ad}
    writers[settings.output.suffix](predicted, names, settings.output)
    print(
        f"{len(predicted.cells):,} cells predicted, {len(predicted.empty):,} left out because they "
        f"express no known gene; {known} genes of the input are known to the checkpoint"
    )
    for note in notes:
        print(f"note: {note}")
    for i in range(min(_PREVIEW, len(predicted.cells))):
        print(f"  {names[predicted.cells[i]]}: {' '.join(predicted.genes(i))}")
    print(settings.output)
    return settings.output


def _tokens(
    model: "TemporalGeneformerModel", settings: PredictSettings, stack: ExitStack
) -> "tuple[CellTokens, tuple[str, ...]]":
    """The cells of the input in the model's tokens, and notes on which counts they are."""
    from bionemo.geneformer_t.counts.formats import MatrixChoice, open_input
    from bionemo.geneformer_t.counts.scdl import is_archive
    from bionemo.geneformer_t.data.cell_store import ARCHIVE, H5AD
    from bionemo.geneformer_t.inference.cell_tokens_of_file import tokens_of
    from bionemo.geneformer_t.inference.checkpoint import check_vocab

    path = settings.input
    choice = MatrixChoice(
        layer=settings.layer, use_raw=settings.use_raw, round_counts=settings.round_counts
    )
    is_scdl = is_archive(path) or is_archive(path / ARCHIVE)
    if not choice.is_default and is_scdl:
        raise KeyError(
            f"{path} is an SCDL archive, which holds one matrix of counts; leave "
            f"{choice.options.layer.format('NAME')}, {choice.options.raw} and "
            f"{choice.options.rounding} out"
        )
    if choice.is_default and ((path / H5AD).is_file() or is_scdl):
        return stack.enter_context(tokens_of(model, path)), ()
    if (path / H5AD).is_file():
        check_vocab(model, path)
        path /= H5AD
    opened = stack.enter_context(open_input(path, choice))
    tokens = stack.enter_context(tokens_of(model, path, opened.counts))
    return tokens, (*opened.notes, *opened.counts.notes_on_rounding)


def tidy(predicted: "NextCells", names: Sequence[str]) -> "pd.DataFrame":
    """One line for each cell and rank: cell, rank, gene, probability."""
    import numpy as np
    import pandas as pd

    num_cells, num_ranks = predicted.token_ids.shape
    return pd.DataFrame(
        {
            "cell": np.repeat([names[cell] for cell in predicted.cells], num_ranks),
            "rank": np.tile(np.arange(1, num_ranks + 1), num_cells),
            "gene": predicted.vocab.decode(predicted.token_ids.ravel().tolist()),
            "probability": predicted.probabilities.ravel(),
        }
    )


def _write_csv(predicted: "NextCells", names: Sequence[str], path: Path) -> None:
    from bionemo.geneformer_t.files import whole_file

    with whole_file(path) as partial:
        tidy(predicted, names).to_csv(partial, index=False, float_format="%.6g")


def _write_h5ad(predicted: "NextCells", names: Sequence[str], path: Path) -> None:
    """Genes and probabilities as `obsm`, a column for each rank."""
    import anndata
    import pandas as pd
    from anndata.io import write_elem

    from bionemo.geneformer_t.counts.update_h5ad import whole_hdf5

    index = pd.Index([names[cell] for cell in predicted.cells], dtype=str)
    ranks = [f"rank_{rank}" for rank in range(1, predicted.token_ids.shape[1] + 1)]
    genes = [predicted.genes(i) for i in range(len(predicted.cells))]
    found = anndata.AnnData(
        obs=pd.DataFrame(index=index),
        obsm={
            "next_cell_genes": pd.DataFrame(genes, index=index, columns=ranks),
            "next_cell_probabilities": pd.DataFrame(
                predicted.probabilities, index=index, columns=ranks
            ),
        },
    )
    with whole_hdf5(path) as file:
        write_elem(file, "/", found)


if __name__ == "__main__":
    main(predict)
