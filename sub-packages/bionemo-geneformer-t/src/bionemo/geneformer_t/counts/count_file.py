"""Counts of all cells in row order on disk: what `prepare` reads again and again.

Whatever the format of the input, its counts are checked and brought into rows once; every later
step reads blocks of rows from here. An SCDL archive would need the number of values of each row
beforehand, and so a second pass over the inputs. Files are read, not mapped, so that none of their
pages counts as memory of the process. A value takes 8 bytes of disk until `prepare` is done.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Int, Real
from numpy import ndarray

from bionemo.geneformer_t.progress import Progress

_ROWS = 2048


@dataclass(frozen=True, kw_only=True)
class CountFile:
    """A CSR matrix in two files; the ends of its rows are held in memory."""

    folder: Path
    indptr: Int[ndarray, " cells_plus_1"]
    num_genes: int

    @property
    def num_cells(self) -> int:
        """Rows."""
        return len(self.indptr) - 1

    @property
    def row_lengths(self) -> Int[ndarray, " cell"]:
        """Genes that each cell expresses."""
        return np.diff(self.indptr)

    def rows(self, start: int, stop: int) -> sp.csr_array:
        """Consecutive cells."""
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        columns = _part(self.folder / "columns", np.dtype(np.int32), first, last)
        counts = _part(self.folder / "counts", np.dtype(np.float32), first, last)
        pointers = (self.indptr[start : stop + 1] - first).astype(np.int32)
        return sp.csr_array((counts, columns, pointers), shape=(stop - start, self.num_genes))

    def blocks(self, wanted: Bool[ndarray, " cell"], what: str) -> Iterator[sp.csr_array]:
        """The wanted cells in order, at most 2,048 at a time, with their progress.

        Where a block ends depends on the places of the cells alone, never on their counts, so
        that sums over training cells are the same to the last bit whatever other cells express.

        Args:
            wanted: Which cells.
            what: What progress is called.
        """
        with cell_bar(what, self.num_cells) as bar:
            for start in range(0, self.num_cells, _ROWS):
                stop = min(start + _ROWS, self.num_cells)
                inside = wanted[start:stop]
                if inside.all():
                    yield self.rows(start, stop)
                elif inside.any():
                    yield self.rows(start, stop)[inside]
                bar.update(stop - start)


def cell_bar(what: str, num_cells: int) -> Progress:
    """Progress that counts cells."""
    return Progress(what, num_cells, "cell")


def write_count_file(folder: Path, blocks: Iterable[sp.csr_array], num_genes: int) -> CountFile:
    """Write rows as they come: canonical blocks of counts, first to last."""
    folder.mkdir(parents=True)
    lengths = [np.zeros(1, dtype=np.int64)]
    with (folder / "columns").open("wb") as columns, (folder / "counts").open("wb") as counts:
        for block in blocks:
            lengths.append(np.diff(block.indptr).astype(np.int64))
            block.indices.astype(np.int32).tofile(columns)
            block.data.astype(np.float32).tofile(counts)
    indptr = np.cumsum(np.concatenate(lengths))
    return CountFile(folder=folder, indptr=indptr, num_genes=num_genes)


def _part(path: Path, dtype: "np.dtype[Any]", first: int, last: int) -> Real[ndarray, " value"]:
    if last == first:
        return np.zeros(0, dtype=dtype)
    return np.fromfile(path, dtype=dtype, count=last - first, offset=first * dtype.itemsize)
