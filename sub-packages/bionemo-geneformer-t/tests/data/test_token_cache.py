import logging
import multiprocessing
import os
import pickle
import shutil
import signal
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data import token_cache
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.data.token_cache import with_cache
from bionemo.geneformer_t.vocab import GeneVocab

WriteSplit = Callable[..., Path]


def cached_folders(split: Path) -> list[Path]:
    return sorted((split / ".cache").glob("*/tokens-*"))


def assert_same_encodings(tokens: CellTokens, expected: CellTokens) -> None:
    cells = np.arange(len(expected))[::-1]
    for row, other in zip(tokens.rows_of(cells), expected.rows_of(cells), strict=True):
        np.testing.assert_array_equal(row, other)
    np.testing.assert_array_equal(tokens.num_genes, expected.num_genes)
    assert tokens.encode(0).dtype == expected.encode(0).dtype == np.int64


@pytest.fixture
def tokens(tiny_data_dir: Path) -> CellTokens:
    split = tiny_data_dir / "train"
    vocab = GeneVocab.read(split / "geneformer.vocab", split / "medians.json")
    return CellTokens(CellStore.open(split), vocab, PairSettings())


@pytest.mark.parametrize("policy", ["identity", "intersection", "union"])
def test_batches_are_the_same_with_and_without_the_cache(tiny_data_dir: Path, policy: str) -> None:
    split = tiny_data_dir / "train"
    settings = PairSettings(seq_length=33, token_selection_policy=policy, next_cells_per_cell=2)
    kept, encoded = (
        TemporalGeneformerDataset.from_folder(split, settings=settings, token_cache=cached)
        for cached in (True, False)
    )
    assert len(cached_folders(split)) == 1
    wanted = [(epoch, i) for epoch in (0, 3) for i in range(39)]
    for field in fields(TemporalBatch):
        one, other = (getattr(dataset[wanted], field.name) for dataset in (kept, encoded))
        assert torch.equal(one, other)
        assert one.dtype == other.dtype
    assert pickle.dumps(kept[3, 5]) == pickle.dumps(encoded[3, 5])


@pytest.mark.parametrize("few", [0, 1 << 22], ids=["in processes", "here"])
def test_blocks_join_to_all_cells(
    tokens: CellTokens, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(token_cache, "_BLOCK", 50)
    monkeypatch.setattr(token_cache, "_FEW", few)
    state = torch.get_rng_state()
    assert_same_encodings(with_cache(tokens), tokens)
    assert torch.equal(torch.get_rng_state(), state)  # a run must not depend on who built it


def test_cells_without_genes_and_merged_columns_are_kept_as_they_are(
    write_split: WriteSplit, vocab: GeneVocab, counts: Any
) -> None:
    counts[1] = 0
    counts[4] = 0
    store = CellStore.open(write_split(counts, genes=["g0", "SYM0", "unknown", "g3"]))
    tokens = CellTokens(store, vocab, PairSettings())
    assert_same_encodings(with_cache(tokens), tokens)


def test_large_vocabularies_are_kept_in_32_bits(write_split: WriteSplit) -> None:
    names = [f"g{i}" for i in range(70_000)]
    vocab = GeneVocab.of_genes(dict.fromkeys(names[::-1], 1.0))
    tokens = CellTokens(CellStore.open(write_split()), vocab, PairSettings())
    assert tokens.encode(0).max() > 65_536
    assert_same_encodings(with_cache(tokens), tokens)


def test_encodings_are_computed_once_for_cells_vocabulary_medians_and_normalisation(
    write_split: WriteSplit, vocab: GeneVocab, counts: Any
) -> None:
    split = write_split()

    def build(vocab: GeneVocab = vocab, **settings: Any) -> int:
        tokens = CellTokens(CellStore.open(split), vocab, PairSettings(**settings))
        assert_same_encodings(with_cache(tokens), tokens)
        return len(cached_folders(split))

    assert [build(), build(), build(seq_length=64, seed=1)] == [1, 1, 1]
    assert build(normalize_gene_expression=False) == 2
    assert build(GeneVocab.of_genes({**vocab.medians, "g0": 7.0}, vocab.gene_to_ens)) == 3
    assert build(GeneVocab.of_genes(dict(reversed(vocab.medians.items())))) == 4
    other = write_split(counts + 1, folder="other")
    shutil.copy(other / "data.h5ad", split / "data.h5ad")
    assert build() == 5


def test_tokens_with_a_cache_pickle_as_its_path(tokens: CellTokens) -> None:
    kept = with_cache(tokens)
    assert len(pickle.dumps(kept)) < len(pickle.dumps(tokens)) + 500
    assert_same_encodings(pickle.loads(pickle.dumps(kept)), tokens)


def test_without_a_place_cells_are_encoded_when_needed_and_the_log_says_so_once(
    tokens: CellTokens, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.store.path = tmp_path / "file"
    tokens.store.path.write_text("in the way, for root may write to read-only folders")
    assert with_cache(tokens) is tokens
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "cannot be kept" in record.message
    assert "the same batches more slowly" in record.message


def test_a_full_disk_is_no_reason_to_fail(
    tokens: CellTokens, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    assert with_cache(tokens) is tokens
    assert "bytes needed, 10 free" in caplog.text
    assert not list(tokens.store.path.glob("*tokens-*"))


def build_slowly(tokens: CellTokens, started: Any) -> None:
    def wait(*_: object) -> int:
        started.set()
        signal.pause()
        return 0

    token_cache._Blocks.__getitem__ = wait  # type: ignore[method-assign]
    with_cache(tokens)


def test_a_builder_that_was_killed_is_not_in_the_way(tokens: CellTokens) -> None:
    context = multiprocessing.get_context("fork")
    started = context.Event()
    builder = context.Process(target=build_slowly, args=(tokens, started))
    builder.start()
    assert started.wait(timeout=60)
    assert builder.pid is not None
    os.kill(builder.pid, signal.SIGKILL)
    builder.join()
    assert_same_encodings(with_cache(tokens), tokens)


def build_in_process(tokens: CellTokens, barrier: Any, results: Any) -> None:
    barrier.wait(timeout=60)
    results.put([row.tolist() for row in with_cache(tokens).rows_of(np.arange(40))])


def test_two_builders_at_once_both_end_well(tokens: CellTokens) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    builders = [
        context.Process(target=build_in_process, args=(tokens, barrier, results)) for _ in range(2)
    ]
    for builder in builders:
        builder.start()
    expected = [row.tolist() for row in tokens.rows_of(np.arange(40))]
    assert [results.get(timeout=60) for _ in builders] == [expected] * 2
    for builder in builders:
        builder.join()
    assert len(list(tokens.store.path.glob("*tokens-*"))) == 1
