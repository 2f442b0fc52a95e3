"""Cells with exactly the same counts, by a 128-bit digest of each cell's genes and counts."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Int, Shaped
from numpy import ndarray

UNIQUE = -1
_BYTES = 16


def row_digests(block: sp.csr_array) -> "Shaped[ndarray, ' cell']":
    """The BLAKE2b digest of each row, whose columns must ascend."""
    columns, counts = block.indices.astype(np.int32), block.data.astype(np.float32)
    digests = [
        hashlib.blake2b(columns[start:stop].tobytes() + counts[start:stop].tobytes(),
                        digest_size=_BYTES).digest()
        for start, stop in pairwise(block.indptr.tolist())
    ]  # fmt: skip
    return np.array(digests, dtype=f"S{_BYTES}")


def groups_of_copies(
    digests: Shaped[ndarray, " cell"], among: Bool[ndarray, " cell"]
) -> Int[ndarray, " cell"]:
    """The number of each cell's group of identical cells, -1 for cells without a copy.

    Args:
        digests: From `row_digests`.
        among: Cells that take part.
    """
    groups = np.full(len(digests), UNIQUE, dtype=np.int64)
    _, inverse, sizes = np.unique(digests[among], return_inverse=True, return_counts=True)
    numbers = np.where(sizes > 1, np.arange(len(sizes)), UNIQUE)
    groups[among] = numbers[inverse]
    return groups


def earliest_split(
    groups: Int[ndarray, " cell"], split: Shaped[ndarray, " cell"], order: Sequence[str]
) -> Shaped[ndarray, " cell"]:
    """The first split that holds a copy of each cell; its own without copies.

    Args:
        groups: From `groups_of_copies`.
        split: Each cell's split.
        order: The names of the splits, the first one first.
    """
    places = np.array([order.index(name) for name in split.tolist()], dtype=np.int64)
    has_copy = groups != UNIQUE
    first = np.full(int(groups.max(initial=UNIQUE)) + 1, len(order), dtype=np.int64)
    np.minimum.at(first, groups[has_copy], places[has_copy])
    earliest = places.copy()
    earliest[has_copy] = first[groups[has_copy]]
    return np.array(order)[earliest]
