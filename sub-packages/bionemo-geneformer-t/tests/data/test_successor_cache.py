from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bionemo.geneformer_t.data import successor_cache
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.successor_cache import cached_successors
from bionemo.geneformer_t.data.successors import read_successors

WriteSplit = Callable[..., Path]

NEIGHBORS = {"next": {"c0": ["c1", "c1", "c2"]}, "other": {"c3": {"c4": 0.5}}}


@pytest.mark.parametrize("key", ["next", "other"])
def test_what_is_kept_equals_what_is_read(
    write_split: WriteSplit, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = write_split(neighbors=NEIGHBORS)
    store = CellStore.open(split)
    expected, expected_dropped = read_successors(split, store, key)
    for _ in range(2):
        graph, dropped = cached_successors(split, store, key)
        assert dropped == expected_dropped
        np.testing.assert_array_equal(graph.indptr, expected.indptr)
        np.testing.assert_array_equal(graph.indices, expected.indices)
        np.testing.assert_array_equal(graph.weights, expected.weights)
        monkeypatch.setattr(successor_cache, "read_successors", None)  # not called again


def test_other_successors_are_read_anew(write_split: WriteSplit) -> None:
    split = write_split(neighbors=NEIGHBORS)
    store = CellStore.open(split)
    assert cached_successors(split, store, "next")[0].num_edges == 2
    (split / "neighbors.json").write_text('{"next": {"c0": ["c1"]}}')
    assert cached_successors(split, store, "next")[0].num_edges == 1


def test_without_a_place_they_are_read_each_time(write_split: WriteSplit, tmp_path: Path) -> None:
    split = write_split(neighbors=NEIGHBORS)
    store = CellStore.open(split)
    store.path = tmp_path / "file"
    store.path.write_text("in the way")
    assert cached_successors(split, store, "next")[0].num_edges == 2


def test_errors_leave_nothing_behind(write_split: WriteSplit) -> None:
    split = write_split(neighbors=NEIGHBORS)
    store = CellStore.open(split)
    before = set(store.path.iterdir())
    with pytest.raises(KeyError, match="holds next, other"):
        cached_successors(split, store, "absent")
    assert set(store.path.iterdir()) == before
