"""Any .h5ad of raw counts as tokens of a checkpoint's vocabulary."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bionemo.geneformer_t.data.store import H5AD, CellStore
from bionemo.geneformer_t.data.tokens import CellTokens
from bionemo.geneformer_t.inference.checkpoint import check_vocab, settings_of
from bionemo.geneformer_t.inference.distribution import required_vocab
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel


@contextmanager
def tokens_of(model: TemporalGeneformerModel, source: Path) -> Iterator[CellTokens]:
    """The cells of an .h5ad file or of a split folder; no successors are needed.

    Args:
        model: Its vocabulary and medians are used.
        source: An .h5ad with raw counts in X, or a folder such as data/test.

    Raises:
        FileNotFoundError: No such file or folder.
        ValueError: The values are no raw counts, no gene is known to the vocabulary, or the folder
            was prepared for another vocabulary.
    """
    vocab, settings = required_vocab(model), settings_of(model)
    if source.is_dir():
        check_vocab(model, source)
        yield CellTokens(CellStore.open(source), vocab, settings)
        return
    if not source.is_file():
        raise FileNotFoundError(
            f"input: expected an .h5ad file or a folder such as data/test at {source}; there is "
            "neither"
        )
    with tempfile.TemporaryDirectory() as folder:  # a store wants a folder of its own
        (Path(folder) / H5AD).symlink_to(source.absolute())
        yield CellTokens(CellStore.open(Path(folder), Path(folder) / "cache"), vocab, settings)
