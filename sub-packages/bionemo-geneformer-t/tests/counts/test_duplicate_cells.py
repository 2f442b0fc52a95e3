"""Exactly the cells with the same counts are copies."""

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.counts.count_file import write_count_file
from bionemo.geneformer_t.counts.duplicate_cells import earliest_split, groups_of_copies, row_hashes

COUNTS = np.array([[1, 0, 2], [0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 1, 2], [0, 0, 0], [1, 0, 2]])


def test_copies_are_found(tmp_path: Path) -> None:
    matrix = sp.csr_array(COUNTS.astype(np.float32))
    counts = write_count_file(tmp_path / "a", [matrix], 3)
    among = np.array([True] * 6 + [False])
    groups = groups_of_copies(row_hashes(matrix), counts, among)
    assert groups.tolist() == [0, 1, 0, -1, 1, -1, -1]


def test_equal_hashes_alone_make_no_copies(tmp_path: Path) -> None:
    counts = write_count_file(tmp_path / "a", [sp.csr_array(COUNTS.astype(np.float32))], 3)
    groups = groups_of_copies(np.zeros(7, dtype=np.uint64), counts, np.ones(7, dtype=bool))
    assert groups.tolist() == [0, 1, 0, -1, 1, -1, 0]


def test_hashes_tell_cells_apart() -> None:
    rng = np.random.default_rng(0)
    cells = np.unique(rng.poisson(0.3, size=(5000, 12)), axis=0)
    hashes = row_hashes(sp.csr_array(cells.astype(np.float32)))
    assert len(np.unique(hashes)) == len(cells)


def test_the_earliest_split_of_a_copy() -> None:
    groups = np.array([0, 1, 0, -1, 1, 1])
    split = np.array(["test", "val", "train", "test", "test", "val"])
    expected = ["train", "val", "train", "test", "val", "val"]
    assert earliest_split(groups, split).tolist() == expected
