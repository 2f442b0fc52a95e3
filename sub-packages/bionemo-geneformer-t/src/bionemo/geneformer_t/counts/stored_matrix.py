"""A count matrix on disk, dense or compressed by rows or by columns, read in rectangles.

The same for .h5ad, .zarr and 10x .h5: slices are cut here and not by anndata, because SciPy knows
neither 16-bit floats nor the byte order of other machines, in which counts may be stored.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import scipy.sparse as sp
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.counts.checks import native_counts
from bionemo.geneformer_t.counts.data_frames import native
from bionemo.geneformer_t.counts.hdf5 import reading

RawBlock = tuple[Any, int, int]
"""A rectangle (dense, CSR or CSC) with its first row and column."""
Layout = Literal["dense", "csr", "csc"]
_LAYOUTS: dict[str, Layout] = {"csr": "csr", "csc": "csc"}
_ROWS = 1024
_VALUES_OF_COLUMNS = 1 << 22


def row_blocks(num_rows: int) -> Iterator[slice]:
    """Consecutive slices of rows that fit in memory."""
    for start in range(0, num_rows, _ROWS):
        yield slice(start, min(start + _ROWS, num_rows))


@dataclass(frozen=True, kw_only=True)
class StoredMatrix:
    """Cells x genes."""

    path: Path
    """The file, for messages."""
    name: str
    """Where in the file it is, for messages."""
    layout: Layout
    shape: tuple[int, int]
    element: Any
    """The array, or the group of data, indices and indptr."""

    @property
    def num_values(self) -> int:
        """Stored values."""
        if self.layout == "dense":
            return self.shape[0] * self.shape[1]
        return int(self.element["data"].shape[0])

    def blocks(self) -> Iterator[RawBlock]:
        """Rows of a CSR or dense matrix, columns of a CSC one.

        Raises:
            ValueError: The arrays of a sparse matrix do not fit together.
        """
        num_rows, num_columns = self.shape
        if self.layout == "dense":
            for rows in row_blocks(num_rows):
                with self._reading():
                    block = native_counts(self.element[rows], f"{self.path}: {self.name}")
                yield block, rows.start, 0
            return
        pointers = self._pointers()
        if self.layout == "csr":
            for rows in row_blocks(num_rows):
                parts = self._slice(pointers, rows.start, rows.stop, num_columns)
                yield (
                    sp.csr_array(parts, shape=(rows.stop - rows.start, num_columns)),
                    rows.start,
                    0,
                )
            return
        step = max(1, _VALUES_OF_COLUMNS // max(1, num_rows))
        for start in range(0, num_columns, step):
            stop = min(start + step, num_columns)
            parts = self._slice(pointers, start, stop, num_rows)
            yield sp.csc_array(parts, shape=(num_rows, stop - start)), 0, start

    def _slice(
        self, pointers: Int[ndarray, " _"], start: int, stop: int, length: int
    ) -> tuple[ndarray, ndarray, ndarray]:
        """Values, indices and pointers of some rows or columns, which have so many places."""
        first, last = int(pointers[start]), int(pointers[stop])
        with self._reading():
            values = native_counts(self.element["data"][first:last], f"{self.path}: {self.name}")
            indices = native(self.element["indices"][first:last])
        if indices.dtype.kind not in "iu":
            raise ValueError(f"{self._damaged} its indices are of type {indices.dtype}")
        if len(indices) and not 0 <= indices.min() <= indices.max() < length:
            # SciPy would write them into memory of others.
            raise ValueError(
                f"{self._damaged} its values have the indices {indices.min()} to "
                f"{indices.max()}, of {length} that there are. Write it again"
            )
        return values, indices.astype(np.int64, copy=False), pointers[start : stop + 1] - first

    def _pointers(self) -> Int[ndarray, " _"]:
        """Refuse a sparse matrix whose arrays do not fit together; SciPy would read beyond them."""
        with self._reading():
            lengths = {key: self.element[key].shape for key in ("data", "indices")}
            pointers = native(self.element["indptr"][:])
        rows = self.shape[1 if self.layout == "csc" else 0]
        if (
            pointers.dtype.kind not in "iu"
            or pointers.shape != (rows + 1,)
            or pointers[0] != 0
            or (pointers[1:] < pointers[:-1]).any()
            or lengths != dict.fromkeys(("data", "indices"), (int(pointers[-1]),))
        ):
            raise ValueError(
                f"{self._damaged} data, indices and indptr do not fit together. Write it again"
            )
        return pointers.astype(np.int64, copy=False)

    @property
    def _damaged(self) -> str:
        return f"{self.path}: {self.name} is damaged:"

    def _reading(self) -> Any:
        in_hdf5 = isinstance(self.element, h5py.Group | h5py.Dataset)
        return reading(self.path) if in_hdf5 else nullcontext()


def stored_matrix(element: Any, path: Path, name: str) -> StoredMatrix:
    """A matrix as any version of anndata wrote it.

    Raises:
        ValueError: It is something else.
    """
    attrs = element.attrs
    kind = str(attrs.get("encoding-type", attrs.get("h5sparse_format", "")))
    layout = _LAYOUTS.get(kind.removesuffix("_matrix"))
    if layout is not None:
        missing = [key for key in ("data", "indices", "indptr") if key not in element]
        shape = attrs.get("shape", attrs.get("h5sparse_shape"))
        if missing or shape is None:
            lacking = ", ".join(missing) or "its shape"
            raise ValueError(f"{path}: {name} is damaged: it lacks {lacking}. Write it again")
    else:
        layout, shape = "dense", getattr(element, "shape", ())
        if len(shape) != 2:
            held = kind or f"a {type(element).__name__.lower()}"
            raise ValueError(
                f"{path}: {name} is no matrix of cells x genes but {held}; read the file and write "
                "it again with a current anndata"
            )
    rows, columns = (int(size) for size in shape)
    return StoredMatrix(path=path, name=name, layout=layout, shape=(rows, columns), element=element)
