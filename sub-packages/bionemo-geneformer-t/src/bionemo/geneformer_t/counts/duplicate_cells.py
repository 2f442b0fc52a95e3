"""Cells with exactly the same counts, found without comparing every pair.

Each cell gets a 64-bit hash of its genes and counts; cells of one hash are then compared gene by
gene, so nothing is called a copy that is none.
"""

from collections import defaultdict

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.counts.count_file import CountFile

UNIQUE = -1
SPLIT_ORDER = ("train", "val", "test")


def row_hashes(block: sp.csr_array) -> "Shaped[ndarray, ' cell']":
    """A hash of each row, whatever the order of its values: the sum of a hash of each of them."""
    columns = block.indices.astype(np.uint64)
    counts = block.data.astype(np.float32).view(np.uint32).astype(np.uint64)
    mixed = _mix((columns << np.uint64(32)) | counts)
    before = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return before[block.indptr[1:]] - before[block.indptr[:-1]]


def groups_of_copies(
    hashes: Shaped[ndarray, " cell"], counts: CountFile, among: Bool[ndarray, " cell"]
) -> Int[ndarray, " cell"]:
    """The number of each cell's group of identical cells, -1 for cells without a copy.

    Args:
        hashes: From `row_hashes`.
        counts: The cells.
        among: Cells that take part.
    """
    groups = np.full(len(hashes), UNIQUE, dtype=np.int64)
    members = np.flatnonzero(among)
    _, inverse, sizes = np.unique(hashes[members], return_inverse=True, return_counts=True)
    found: dict[bytes, list[int]] = defaultdict(list)
    for cell in members[sizes[inverse] > 1].tolist():
        row = counts.rows(cell, cell + 1)
        found[row.indices.tobytes() + row.data.tobytes()].append(cell)
    number = 0
    for copies in found.values():
        if len(copies) > 1:
            groups[copies] = number
            number += 1
    return groups


def earliest_split(
    groups: Int[ndarray, " cell"], split: Shaped[ndarray, " cell"]
) -> Shaped[ndarray, " cell"]:
    """The first of train, val and test that holds a copy of each cell; its own without copies."""
    places = np.array([SPLIT_ORDER.index(name) for name in split.tolist()], dtype=np.int64)
    has_copy = groups != UNIQUE
    first = np.full(int(groups.max(initial=UNIQUE)) + 1, len(SPLIT_ORDER), dtype=np.int64)
    np.minimum.at(first, groups[has_copy], places[has_copy])
    earliest = places.copy()
    earliest[has_copy] = first[groups[has_copy]]
    return np.array(SPLIT_ORDER)[earliest]


def _mix(values: ndarray) -> ndarray:
    """Spread 64 bits over all 64 bits (the finaliser of SplitMix64; Steele et al., 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
