"""Exactly the cells with the same counts are copies."""

import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.counts.duplicate_cells import (
    UNIQUE,
    earliest_split,
    groups_of_copies,
    row_digests,
)

COUNTS = np.array([[1, 0, 2], [0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 1, 2], [0, 0, 0], [1, 0, 2]])


def test_copies_are_found() -> None:
    among = np.array([True] * 6 + [False])
    groups = groups_of_copies(row_digests(sp.csr_array(COUNTS.astype(np.float32))), among)
    one, other = groups[0], groups[1]
    assert UNIQUE not in {one, other}
    assert one != other
    assert groups.tolist() == [one, other, one, UNIQUE, other, UNIQUE, UNIQUE]


def test_digests_tell_cells_apart_in_whatever_type_they_are() -> None:
    rng = np.random.default_rng(0)
    cells = np.unique(rng.poisson(0.3, size=(5000, 12)), axis=0)
    digests = row_digests(sp.csr_array(cells.astype(np.float32)))
    assert len(np.unique(digests)) == len(cells)
    assert (row_digests(sp.csr_array(cells.astype(np.int64))) == digests).all()


def test_the_earliest_split_of_a_copy() -> None:
    groups = np.array([0, 1, 0, -1, 1, 1])
    split = np.array(["test", "val", "train", "test", "test", "val"])
    expected = ["train", "val", "train", "test", "val", "val"]
    assert earliest_split(groups, split, ("train", "val", "test")).tolist() == expected
