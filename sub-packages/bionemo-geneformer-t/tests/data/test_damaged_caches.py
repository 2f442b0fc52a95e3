"""Whatever is missing, cut or altered in a cache: the next opening gives what was there before."""

import json
import logging
import os
import shutil
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.cache_entry import MANIFEST
from bionemo.geneformer_t.data.cache_entry import damage as find_damage
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.gene_coverage import gene_totals
from bionemo.geneformer_t.data.successor_cache import cached_successors
from bionemo.geneformer_t.data.token_cache import with_cache
from bionemo.geneformer_t.vocab import GeneVocab

WriteSplit = Callable[..., Path]

NEIGHBORS = {"next": {"c0": ["c1", "c1", "c2"], "c3": {"c4": 0.5}}}


def everything(split: Path, vocab: GeneVocab) -> dict[str, Any]:
    """What a training run reads of a split, through all of its caches."""
    store = CellStore.open(split)
    tokens = with_cache(CellTokens(store, vocab, PairSettings()))
    graph, dropped = cached_successors(split, store, "next")
    cells = np.arange(len(store))
    return {
        "cells": store.cell_ids,
        "genes": (store.gene_names, store.genes.symbols),
        "counts": [[part.tolist() for part in store.row(cell)] for cell in range(5)],
        "totals": (store.total_counts.tolist(), gene_totals(store).tolist()),
        "tokens": [row.tolist() for row in tokens.rows_of(cells)],
        "lengths": tokens.num_genes.tolist(),
        "graph": [graph.indptr.tolist(), graph.indices.tolist(), graph.weights.tolist()],
        "dropped": dropped,
    }


EXPECTED = {
    "cells": ("c0", "c1", "c2", "c3", "c4"),
    "genes": (("g0", "g1", "g2", "g3"),) * 2,
    "counts": [
        [[3, 1, 2], [0, 2, 3]],
        [[5, 1], [1, 2]],
        [[2, 2, 7], [0, 1, 3]],
        [[1, 4], [0, 3]],
        [[6, 1, 2, 3], [0, 1, 2, 3]],
    ],
    "totals": ([6, 6, 11, 5, 12], [12, 8, 4, 16]),
    "tokens": [[5, 7, 8], [6, 7], [5, 8, 6], [5, 8], [5, 7, 8, 6]],
    "lengths": [3, 2, 3, 2, 4],
    "graph": [[0, 2, 2, 2, 3, 3], [1, 2, 4], [1.0, 1.0, 0.5]],
    "dropped": {"duplicate": 1, "self-loop": 0, "zero weight": 0},
}


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x01
    path.write_bytes(content)


def in_its_place(path: Path, make: Callable[[Path], object]) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    make(path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one byte cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "one byte more": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "a bit of the first byte": lambda path: flip(path, 0),
    "a bit in the middle": lambda path: flip(path, path.stat().st_size // 2),
    "a bit of the last byte": lambda path: flip(path, -1),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a folder": lambda path: in_its_place(path, Path.mkdir),
    "a link to nothing": lambda path: in_its_place(path, lambda p: p.symlink_to("nothing")),
}
FOLDER_DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": shutil.rmtree,
    "empty": lambda path: in_its_place(path, Path.mkdir),
    "a file": lambda path: in_its_place(path, Path.touch),
    "a link to nothing": lambda path: in_its_place(path, lambda p: p.symlink_to("nothing")),
}


@pytest.fixture
def split(write_split: WriteSplit, vocab: GeneVocab, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # hundreds of entries, and no power cut
    path = write_split(neighbors=NEIGHBORS)
    assert everything(path, vocab) == EXPECTED
    return path


def names_of(split: Path, *, folders: bool) -> list[Path]:
    cache = split / ".cache"
    return sorted(p.relative_to(cache) for p in cache.rglob("*") if p.is_dir() == folders)


def check_rebuilt(
    split: Path, vocab: GeneVocab, name: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Damage a file: the same is read afterwards, and one line tells what was built again."""
    caplog.clear()
    DAMAGES[damage](split / ".cache" / name)
    assert everything(split, vocab) == EXPECTED, (name, damage)
    lines = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert ["again" in line for line in lines] == [True], (name, damage, lines)


@pytest.mark.slow
def test_a_damaged_file_is_noticed_and_its_entry_built_again_with_one_line(
    split: Path, vocab: GeneVocab, caplog: pytest.LogCaptureFixture
) -> None:
    """Every file with one kind of damage, taken in turn; the next test has all of them."""
    names = names_of(split, folders=False)
    assert len(names) == 28  # 5 entries; everything below `scdl` is SCDL's
    for name, damage in zip(names, cycle(DAMAGES), strict=False):
        check_rebuilt(split, vocab, name, damage, caplog)
    assert names_of(split, folders=False) == names  # and nothing else is left


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_of_every_file_is_mended(
    split: Path, vocab: GeneVocab, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in names_of(split, folders=False):
        check_rebuilt(split, vocab, name, damage, caplog)


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_of_every_file_is_seen_without_opening_anything(
    split: Path, damage: str
) -> None:
    for entry in [path.parent for path in (split / ".cache").rglob(MANIFEST)]:
        content = json.loads((entry / MANIFEST).read_text())["files"]
        for name in (MANIFEST, *content):
            kept = (entry / name).read_bytes()
            DAMAGES[damage](entry / name)
            assert find_damage(entry), name
            in_its_place(entry / name, lambda path, kept=kept: path.write_bytes(kept))  # type: ignore[misc]
        assert find_damage(entry) is None


@pytest.mark.parametrize("damage", FOLDER_DAMAGES)
@pytest.mark.slow
def test_a_damaged_folder_is_noticed_and_its_entry_built_again(
    split: Path, vocab: GeneVocab, damage: str
) -> None:
    names = names_of(split, folders=True)
    assert len(names) == 8
    for name in names:
        FOLDER_DAMAGES[damage](split / ".cache" / name)
        assert everything(split, vocab) == EXPECTED, name
    assert names_of(split, folders=True) == names


def test_a_whole_cache_is_read_and_not_built(
    split: Path, vocab: GeneVocab, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    changed = {path: path.stat().st_ctime_ns for path in (split / ".cache").rglob("*")}
    assert everything(split, vocab) == EXPECTED
    assert {path: path.stat().st_ctime_ns for path in (split / ".cache").rglob("*")} == changed
    assert not caplog.records
