"""Count matrices read block by block, from .h5ad files whatever their layout.

Blocks keep memory bounded: rows of a CSR or dense matrix, columns of a CSC one. Everything that
reads a matrix goes through `CountSource.blocks`, which checks that the values are raw counts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.abc import CSCDataset, CSRDataset
from anndata.io import read_elem, sparse_dataset

from bionemo.geneformer_t.data.counts import check_counts

GENE_ID_COLUMNS = ("feature_id", "ensembl_id")
"""Columns of `var` that name genes for the vocabulary, before `var_names` do."""

_ROWS = 1024
_VALUES_OF_COLUMNS = 1 << 22
_SHOWN = 5


@dataclass(frozen=True)
class CountBlock:
    """A rectangle of a count matrix, without zeros, columns ascending in each row."""

    counts: sp.csr_array
    first_row: int
    first_column: int
    was_canonical: bool
    """Whether the stored values had this form already."""


@dataclass(frozen=True, kw_only=True)
class CountSource:
    """A matrix of raw counts, cells x genes, and what its rows and columns are called."""

    where: str
    """What to call it in messages."""
    cell_ids: tuple[str, ...]
    gene_names: tuple[str, ...]
    """What the vocabulary may know a column by."""
    gene_symbols: tuple[str, ...]
    """The second name of each column, to fall back on."""
    raw_blocks: Callable[[], Iterator[tuple[Any, int, int]]]
    """Rectangles (dense, CSR or CSC) with their first row and column; left to right in each row."""

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return len(self.cell_ids), len(self.gene_names)

    def blocks(self) -> Iterator[CountBlock]:
        """The matrix in rectangles of raw counts.

        Raises:
            ValueError: Values are no raw counts.
        """
        for raw, first_row, first_column in self.raw_blocks():
            _check_indices(raw, self.where)
            counts = sp.csr_array(raw)
            check_counts(counts.data, self.where)
            if counts.dtype.itemsize < np.dtype(np.float32).itemsize:
                counts = counts.astype(np.int32)  # the sum of two parts of a count may be larger
            stored = counts.nnz
            in_order = bool(counts.has_sorted_indices)
            counts.sum_duplicates()
            counts.eliminate_zeros()
            was_canonical = in_order and counts.nnz == stored
            yield CountBlock(counts, first_row, first_column, was_canonical)


def _check_indices(raw: Any, where: str) -> None:
    """Refuse values outside of the matrix; SciPy would write them into memory of others."""
    if getattr(raw, "format", None) not in {"csr", "csc"} or not raw.nnz:
        return  # SciPy checks coordinates itself
    length = raw.shape[0] if raw.format == "csc" else raw.shape[1]
    if not 0 <= raw.indices.min() <= raw.indices.max() < length:
        raise ValueError(
            f"{where} is damaged: its values have the indices {raw.indices.min()} to "
            f"{raw.indices.max()}, of {length} that there are. Write it again"
        )


def check_cell_ids(cell_ids: tuple[str, ...], where: str) -> None:
    """Refuse a split without cells or with two cells of one name.

    Raises:
        ValueError: Names the ids that stand twice.
    """
    if not cell_ids:
        raise ValueError(f"{where} holds no cells")
    index = pd.Index(cell_ids)
    if not index.is_unique:
        twice = index[index.duplicated()].unique()
        raise ValueError(
            f"{where}: cell ids must be unique, since successors are found by them; {len(twice):,} "
            f"stand more than once ({', '.join(twice[:_SHOWN])}). Rename them, for example with "
            "adata.obs_names_make_unique(), before successors are computed"
        )


@contextmanager
def h5ad_source(path: Path, layer: str | None = None) -> Iterator[CountSource]:
    """The matrix X, or a layer, of an .h5ad file, open for as long as the context lasts.

    Raises:
        KeyError: No such layer.
        ValueError: The file is truncated, holds no X, or was written by an anndata older than 0.8.
    """
    place = "X" if layer is None else f"layers/{layer}"
    with open_h5ad(path) as file:
        with _reading(path):
            if layer is not None and place not in file:
                held = ", ".join(file.get("layers", {})) or "none"
                raise KeyError(f"{path} holds no layer {layer!r}; its layers are: {held}")
            for name in (place, "obs", "var"):
                if name not in file:
                    raise ValueError(f"{path} holds no {name}; expected raw counts in X")
            cell_ids = _index(file["obs"], path)
            var_names = _index(file["var"], path)
            matrix = file[place]
            is_sparse = isinstance(matrix, h5py.Group)
            matrix = sparse_dataset(matrix) if is_sparse else matrix
            if tuple(matrix.shape) != (len(cell_ids), len(var_names)):
                raise ValueError(
                    f"{path}: {place} has shape {tuple(matrix.shape)}, but obs and var name "
                    f"{len(cell_ids)} cells and {len(var_names)} genes"
                )
            named = next((c for c in GENE_ID_COLUMNS if c in file["var"]), None)
            names = var_names if named is None else _strings(read_elem(file["var"][named]))
        yield CountSource(
            where=f"{path}: {place}",
            cell_ids=cell_ids,
            gene_names=names,
            gene_symbols=var_names,
            raw_blocks=lambda: matrix_blocks(matrix, path),
        )


@contextmanager
def open_h5ad(path: Path) -> Iterator[h5py.File]:
    """An .h5ad file, read only.

    Raises:
        ValueError: It is no complete HDF5 file.
    """
    with _reading(path):
        file = h5py.File(path, "r")
    with file:
        yield file


def row_blocks(num_rows: int) -> Iterator[slice]:
    """Consecutive slices of rows that fit in memory."""
    for start in range(0, num_rows, _ROWS):
        yield slice(start, min(start + _ROWS, num_rows))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tell a damaged file from a bug: HDF5 reports both as OSError without an error number."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(
            f"{path} cannot be read as .h5ad ({error}); is it truncated? Copy or write it again"
        ) from error


def _check_pointers(matrix: Any, path: Path) -> None:
    """Refuse a sparse matrix whose arrays do not fit together; SciPy would read beyond them."""
    if not isinstance(matrix, CSRDataset | CSCDataset):
        return
    with _reading(path):
        parts = {name: matrix.group[name] for name in ("data", "indices") if name in matrix.group}
        lengths = {name: part.shape for name, part in parts.items()}
        pointers = np.asarray(matrix.group["indptr"][:]) if "indptr" in matrix.group else None
    rows = matrix.shape[1 if isinstance(matrix, CSCDataset) else 0]
    if (
        pointers is None
        or pointers.shape != (rows + 1,)
        or pointers[0] != 0
        or (pointers[1:] < pointers[:-1]).any()
        or lengths != dict.fromkeys(("data", "indices"), (int(pointers[-1]),))
    ):
        raise ValueError(
            f"{path} is damaged: data, indices and indptr of {matrix.group.name} do not fit "
            "together. Write it again"
        )


def matrix_blocks(matrix: Any, path: Path) -> Iterator[tuple[Any, int, int]]:
    """Rows of a CSR or dense matrix on disk, columns of a CSC one."""
    _check_pointers(matrix, path)
    num_rows, num_columns = matrix.shape
    if isinstance(matrix, CSCDataset):
        step = max(1, _VALUES_OF_COLUMNS // max(1, num_rows))
        for start in range(0, num_columns, step):
            with _reading(path):
                block = matrix[:, start : start + step]
            yield block, 0, start
        return
    for rows in row_blocks(num_rows):
        with _reading(path):
            block = matrix[rows]
        yield block, rows.start, 0


def _index(frame: Any, path: Path) -> tuple[str, ...]:
    name = frame.attrs.get("_index") if isinstance(frame, h5py.Group) else None
    if name is None:
        raise ValueError(
            f"{path}: {frame.name} names no index, as in files older than anndata 0.8; read the "
            "file and write it again with a current anndata"
        )
    return _strings(read_elem(frame[name]))


def _strings(values: Any) -> tuple[str, ...]:
    return tuple(pd.Series(values).astype(str))
