"""Raw counts from anywhere as tokens of a checkpoint's vocabulary."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bionemo.geneformer_t.counts.h5ad import h5ad_source
from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.inference.checkpoint import check_vocab, settings_of
from bionemo.geneformer_t.inference.rank_distributions import required_vocab
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel


@contextmanager
def tokens_of(
    model: TemporalGeneformerModel, source: Path, counts: CountSource | None = None
) -> Iterator[CellTokens]:
    """The cells of a split folder, of an .h5ad file or of any other source of counts.

    No successors are needed, and nothing is left beside the input.

    Args:
        model: Its vocabulary and medians are used.
        source: A folder such as data/test, or an .h5ad with raw counts in X.
        counts: The counts of the source, where they are chosen already.

    Raises:
        FileNotFoundError: No such file or folder.
        ValueError: The values are no raw counts, no gene is known to the vocabulary, or the folder
            was prepared for another vocabulary.
    """
    vocab, settings = required_vocab(model), settings_of(model)
    if counts is None and source.is_dir():
        check_vocab(model, source)
        yield CellTokens(CellStore.open(source), vocab, settings)
        return
    if not source.exists():
        raise FileNotFoundError(
            f"input: expected an .h5ad file or a folder such as data/test at {source}; there is "
            "neither"
        )
    with ExitStack() as stack:
        given = counts or stack.enter_context(h5ad_source(source))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield CellTokens(CellStore.of(given, source, folder), vocab, settings)
