"""Whole cells of a matrix that comes by columns, or in any order, sorted on disk.

Its values are divided into piles on disk, one for each range of rows, in one pass; a pile is sorted
whenever it is read.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.counts.source import CountBlock, CountSource
from bionemo.geneformer_t.counts.stored_matrix import RawBlock

_ROWS = 2048
_VALUES_OF_A_PILE = 1 << 21
_MOST_PILES = 256
_ENTRY = np.dtype([("row", np.int32), ("column", np.int32), ("count", np.float32)])


@contextmanager
def row_wise(source: CountSource, folder: Path | None = None) -> Iterator[CountSource]:
    """The same matrix with whole cells in every block, from the first to the last.

    Args:
        source: The matrix.
        folder: Where to keep its values, 12 bytes each, while the context lasts; by default where
            the system keeps temporary files.
    """
    if source.by_rows:
        yield source
        return
    num_cells = source.shape[0]
    num_piles = min(_MOST_PILES, num_cells, 1 + source.num_values // _VALUES_OF_A_PILE)
    height = -(-num_cells // max(1, num_piles))
    with tempfile.TemporaryDirectory(dir=folder) as piles:
        for block in source.blocks():
            _divide(block, height, Path(piles))
        blocks = partial(_sorted, source.shape, height, Path(piles))
        yield replace(source, raw_blocks=blocks, by_rows=True, rounding=None)  # of checked counts


def _divide(block: CountBlock, height: int, piles: Path) -> None:
    """Append the values of a block to the piles of their rows."""
    triplets = block.counts.tocoo()
    if not triplets.nnz:
        return
    rows = triplets.row + np.int64(block.first_row)
    pile = rows // height
    entries = np.empty(triplets.nnz, dtype=_ENTRY)
    entries["row"] = rows - pile * height
    entries["column"] = triplets.col + block.first_column
    entries["count"] = triplets.data
    order = np.argsort(pile, kind="stable")
    numbers, firsts = np.unique(pile[order], return_index=True)
    for number, part in zip(numbers, np.split(entries[order], firsts[1:]), strict=True):
        with (piles / str(number)).open("ab") as file:
            part.tofile(file)


def _sorted(shape: tuple[int, int], height: int, piles: Path) -> Iterator[RawBlock]:
    num_cells, num_genes = shape
    for start in range(0, num_cells, height):
        pile = piles / str(start // height)
        entries = np.fromfile(pile, dtype=_ENTRY) if pile.exists() else np.zeros(0, dtype=_ENTRY)
        whole = (min(height, num_cells - start), num_genes)
        places = (entries["row"], entries["column"])
        rows = sp.csr_array(sp.coo_array((entries["count"], places), shape=whole))
        for first in range(0, whole[0], _ROWS):
            yield rows[first : first + _ROWS], start + first, 0
