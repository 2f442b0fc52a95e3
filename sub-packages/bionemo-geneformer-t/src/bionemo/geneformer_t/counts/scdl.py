"""SCDL archives: written through BioNeMo's class, read without asking for write access.

`SingleCellMemMapDataset` opens an archive with mode r+, which a read-only data folder refuses, and
converts .h5ad files whole in memory or, again, opened for writing; therefore blocks of counts are
streamed into the arrays that it allocates, and archives are read through its header alone.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import scipy.sparse as sp
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
from bionemo.scdl.util.scdl_constants import FileNames
from jaxtyping import Int, Real
from numpy import ndarray

from bionemo.geneformer_t.counts.gene_names import OWN_COLUMN, GeneNames, name_genes
from bionemo.geneformer_t.counts.mapped_arrays import map_array, reserve
from bionemo.geneformer_t.counts.scdl_header import (
    REOPENED,
    array_types,
    check_lengths,
    check_type,
    named_cells,
    read_header,
)
from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.counts.stored_matrix import row_blocks
from bionemo.geneformer_t.progress import Progress

logger = logging.getLogger(__name__)

CELL_ID_COLUMNS = ("cell_id", "obs_feature_id")
"""Columns of an archive's obs_features that name cells; SCDL keeps an index as the second."""
SYMBOL_COLUMNS = ("feature_name", "gene_symbol", "gene_name")
"""Columns of an archive's var_features that hold a second name of each gene."""
_INDEX = "var_feature_id"
"""What SCDL calls the index of `var`."""
_LEFT_OUT, _GENOME = "geneformer_t_left_out", "geneformer_t_genome"
"""Columns of archives that were written here, whose genes are named already."""


@dataclass(frozen=True, kw_only=True)
class ScdlArrays:
    """The three arrays of a sparse matrix, mapped from disk."""

    counts: Real[ndarray, " value"]
    columns: Real[ndarray, " value"]
    row_ptr: Real[ndarray, " cells_plus_1"]

    @property
    def num_cells(self) -> int:
        """Rows."""
        return len(self.row_ptr) - 1


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one pass over a matrix finds out."""

    num_values: Int[ndarray, " cell"]
    """Non-zero counts of each cell."""
    totals: Int[ndarray, " cell"]
    """Total count of each cell."""
    largest: int
    """The largest count."""
    is_canonical: bool
    """Whether it holds no zeros, no duplicates and ascending columns."""


def is_archive(folder: Path) -> bool:
    """Whether a folder is an SCDL archive."""
    needed = (FileNames.DATA, FileNames.COLPTR, FileNames.ROWPTR, FileNames.METADATA)
    return all((folder / name.value).is_file() for name in needed)


def survey(source: CountSource) -> Survey:
    """Check a matrix and count what it holds.

    Raises:
        ValueError: Values are no raw counts, or all are zero.
    """
    num_values = np.zeros(source.shape[0], dtype=np.int64)
    totals = np.zeros(source.shape[0], dtype=np.int64)
    largest, is_canonical = 0, True
    for block in _shown(source, "checking"):
        rows = slice(block.first_row, block.first_row + block.counts.shape[0])
        num_values[rows] += np.diff(block.counts.indptr)
        totals[rows] += np.rint(block.counts.sum(axis=1, dtype=np.float64)).astype(np.int64)
        largest = max(largest, int(block.counts.data.max(initial=0)))
        is_canonical &= block.was_canonical
    if not largest:
        raise ValueError(f"{source.where}: every count is zero; expected raw counts of cells")
    return Survey(num_values=num_values, totals=totals, largest=largest, is_canonical=is_canonical)


def write_archive(source: CountSource, found: Survey, folder: Path) -> None:
    """Write a matrix as an SCDL archive of 16-bit counts, or 32-bit ones where they need it."""
    num_cells = source.shape[0]
    archive = SingleCellMemMapDataset(
        data_path=str(folder),
        num_rows=num_cells,
        num_elements=int(found.num_values.sum()),
        data_dtype="uint16" if found.largest < 1 << 16 else "uint32",
    )
    reserve(folder)
    archive.row_index[0] = 0
    np.cumsum(found.num_values, out=archive.row_index[1:])
    free = archive.row_index[:-1].astype(np.int64)
    for block in _shown(source, "converting"):
        counts = block.counts
        rows = slice(block.first_row, block.first_row + counts.shape[0])
        lengths = np.diff(counts.indptr)
        places = np.arange(counts.nnz) + np.repeat(free[rows] - counts.indptr[:-1], lengths)
        archive.data[places] = counts.data
        archive.col_index[places] = counts.indices + block.first_column
        free[rows] += lengths
    genes = {
        OWN_COLUMN: np.array(source.gene_names, dtype=object),
        SYMBOL_COLUMNS[0]: np.array(source.genes.symbols, dtype=object),
        _LEFT_OUT: np.array(source.genes.left_out, dtype=object),
        _GENOME: np.array(source.genes.genomes, dtype=object),
    }
    cells = {CELL_ID_COLUMNS[0]: np.array(source.cell_ids, dtype=object)}
    archive.var_features().append_features(num_cells, genes, label=source.where)
    archive.obs_features().append_features(cells, label=source.where)
    archive.save()


def open_arrays(folder: Path) -> ScdlArrays:
    """Map an archive's matrix, read only.

    Raises:
        ValueError: The header is damaged, or the arrays do not fit together.
    """
    header = read_header(folder)
    types = array_types(header)
    arrays = {
        name: _map(folder, name, types)
        for name in (FileNames.DATA, FileNames.COLPTR, FileNames.ROWPTR)
    }
    check_lengths(folder, header, arrays)
    counts, columns, row_ptr = arrays.values()
    return ScdlArrays(counts=counts, columns=columns, row_ptr=row_ptr)


def neighbor_matrix(folder: Path) -> sp.csr_array | None:
    """The neighbors that an archive was written with, cells x cells; None where it has none."""
    names = (FileNames.NEIGHBOR_VALUES, FileNames.NEIGHBOR_INDICES, FileNames.NEIGHBOR_INDICES_PTR)
    if not all((folder / name.value).is_file() for name in names):
        return None
    types = array_types(None)
    weights, indices, indptr = (_map(folder, name, types) for name in names)
    num_cells = len(indptr) - 1
    parts = (weights, indices.astype(np.int64), indptr.astype(np.int64))
    return sp.csr_array(parts, shape=(num_cells, num_cells))


def gene_features(folder: Path) -> GeneNames:
    """What an archive's columns are called.

    Raises:
        ValueError: The archive joins matrices of different genes, or does not name its genes.
    """
    names = (FileNames.VAR_FEATURES, FileNames.FEATURES)
    blocks = next((found for name in names if (found := _blocks(folder / name.value))), [])
    if len(blocks) != 1:
        raise ValueError(
            f"{folder}: expected an SCDL archive with one set of genes; it holds {len(blocks)}. "
            "Write one archive from matrices with the same genes"
        )
    var = _read_columns(blocks[0], _columns_of(blocks[0]))
    if _LEFT_OUT in var:
        ids, symbols, left_out, genomes = (
            tuple(var[column].astype(str))
            for column in (OWN_COLUMN, SYMBOL_COLUMNS[0], _LEFT_OUT, _GENOME)
        )
        return GeneNames(names=ids, symbols=symbols, left_out=left_out, genomes=genomes)
    index = next((c for c in (*SYMBOL_COLUMNS, _INDEX) if c in var), None)
    genes = name_genes(var if index is None else var.set_index(index, drop=False), str(folder))
    if index is None and genes.id_column is None:
        held = ", ".join(map(str, var.columns))
        raise ValueError(
            f"{folder}: expected gene ids in one of the var columns {OWN_COLUMN}, ensembl_id, "
            f"gene_ids, {_INDEX} or another; the archive holds {held}"
        )
    return genes


def cell_ids(folder: Path, num_cells: int) -> tuple[str, ...]:
    """The names of an archive's rows; their numbers where it was written without names.

    Raises:
        ValueError: Names are lost, or name fewer or more cells than there are.
    """
    blocks = _blocks(folder / FileNames.OBS_FEATURES.value)
    columns = _columns_of(blocks[0]) if blocks else []
    named = next((c for c in CELL_ID_COLUMNS if c in columns), None)
    if named is None:
        if not blocks and (lost := named_cells(read_header(folder))):
            raise ValueError(
                f"{folder} has lost obs_features, which named {lost:,} cells by its header; "
                "successors are found by these names. Copy or write it again"
            )
        logger.warning("%s names no cells; they are numbered from 0", folder)
        return tuple(map(str, range(num_cells)))
    ids = pd.concat([_read_columns(block, [named])[named] for block in blocks])
    if len(ids) != num_cells:
        raise ValueError(f"{folder}: obs_features names {len(ids)} of {num_cells} cells")
    return tuple(ids.astype(str))


def archive_source(folder: Path) -> CountSource:
    """An archive's matrix, to check it or to write it again."""
    arrays = open_arrays(folder)
    genes = gene_features(folder)
    if (arrays.row_ptr[1:] < arrays.row_ptr[:-1]).any():
        raise ValueError(f"{folder} is a damaged SCDL archive: its rows overlap. Write it again")

    def blocks() -> Any:
        for rows in row_blocks(arrays.num_cells):
            pointers = arrays.row_ptr[rows.start : rows.stop + 1].astype(np.int64)
            here = slice(pointers[0], pointers[-1])
            check_type(arrays.counts[here], folder)
            shape = (rows.stop - rows.start, len(genes.names))
            parts = (arrays.counts[here], arrays.columns[here].astype(np.int64))
            # A copy: making the block canonical works in place.
            yield (
                sp.csr_array((*parts, pointers - pointers[0]), shape=shape, copy=True),
                rows.start,
                0,
            )

    return CountSource(
        where=str(folder),
        cell_ids=cell_ids(folder, arrays.num_cells),
        genes=genes,
        raw_blocks=blocks,
    )


def _map(folder: Path, name: FileNames, types: dict[FileNames, np.dtype]) -> ndarray:
    path, dtype = folder / name.value, types[name]
    if path.stat().st_size % dtype.itemsize:
        raise ValueError(
            f"{path} is truncated, or the header is out of date: its size is no multiple of "
            f"{dtype}'s. {REOPENED}"
        )
    return map_array(path, dtype)


def _columns_of(table: Path) -> list[str]:
    with _reading(table):
        return list(pq.read_schema(table).names)


def _read_columns(table: Path, columns: list[str]) -> pd.DataFrame:
    with _reading(table):
        return pd.read_parquet(table, columns=columns)


@contextmanager
def _reading(table: Path) -> Iterator[None]:
    """Name the file that is damaged; Arrow does not."""
    try:
        yield
    except pa.ArrowException as error:
        raise ValueError(f"{table} is damaged ({error}). Write the archive again") from error


def _blocks(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def _shown(source: CountSource, verb: str) -> Any:
    return Progress(f"{verb} {source.where}", unit="block").over(source.blocks())
