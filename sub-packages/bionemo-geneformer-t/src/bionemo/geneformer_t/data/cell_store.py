"""CellStore: the cells of one split, mapped from disk.

A split's data.h5ad is converted once into an SCDL archive in a cache; an SCDL archive that is
already there is used in place where it is in order. Opening a converted split reads next to
nothing, and workers share its pages.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Real
from numpy import ndarray

from bionemo.geneformer_t.counts.gene_names import GeneNames
from bionemo.geneformer_t.counts.h5ad import h5ad_source
from bionemo.geneformer_t.counts.mapped_arrays import CELLS_KEPT, PageKeeper
from bionemo.geneformer_t.counts.scdl import (
    archive_source,
    cell_ids,
    gene_features,
    is_archive,
    open_arrays,
    survey,
    write_archive,
)
from bionemo.geneformer_t.counts.source import CountSource, check_cell_ids
from bionemo.geneformer_t.counts.stored_matrix import row_blocks
from bionemo.geneformer_t.data.cache import build_unchanged, cache_places, open_or_build

logger = logging.getLogger(__name__)

H5AD = "data.h5ad"
ARCHIVE = "scdl"
TOTALS = "total_counts.npy"
REMOVED = "removed_counts.npy"
"""What features that are no genes had, where there are such columns."""

FORMAT = ("geneformer-t cells", 4, "X")
"""What the cache holds: to be counted up when that changes, and the matrix that is read."""


class CellStore:
    """Raw counts of the cells of one split, row by row.

    Pickles as its paths, so that workers map the same files.
    """

    def __init__(self, split_dir: Path, path: Path, archive: Path) -> None:
        """Open what `CellStore.open` has found or made.

        Args:
            split_dir: The split's folder, to name it in messages.
            path: The cache folder of this split; others may keep derived arrays there.
            archive: The SCDL archive that holds the counts.
        """
        self.split_dir = split_dir
        self.path = path
        self.archive = archive
        arrays = open_arrays(archive)
        self._counts, self._columns, self._row_ptr = arrays.counts, arrays.columns, arrays.row_ptr
        self._pages = PageKeeper(arrays.counts, arrays.columns)
        self.num_cells = arrays.num_cells
        self.total_counts: Int[ndarray, " cell"] = np.asarray(np.load(path / TOTALS, mmap_mode="r"))
        """The total count of each cell, over all genes."""

    def __reduce__(self) -> tuple[type["CellStore"], tuple[Path, Path, Path]]:
        return CellStore, (self.split_dir, self.path, self.archive)

    def __len__(self) -> int:
        return self.num_cells

    @classmethod
    def open(cls, split_dir: Path, cache_dir: Path | None = None) -> "CellStore":
        """The cells of a folder with data.h5ad, or of an SCDL archive.

        Args:
            split_dir: A folder that holds data.h5ad or an archive `scdl`, or is an archive.
            cache_dir: Where to keep the converted data; by default what GENEFORMER_T_CACHE names,
                or `.cache` in the split's folder. Where that cannot be written to it is
                ~/.cache/geneformer_t, and the log says so.

        Raises:
            FileNotFoundError: No such folder, or no cells in it.
            ValueError: The file is truncated, ids are not unique, or the values are no raw counts.
            PermissionError: There is no place for the cache.
            TimeoutError: Another process has been converting the same cells for too long.
        """
        places = cache_places(split_dir, cache_dir)
        h5ad = split_dir / H5AD
        if h5ad.is_file():
            name, build = build_unchanged(
                [h5ad], FORMAT, memory=places, build=partial(_build_from_h5ad, h5ad)
            )
            return open_or_build(
                name, places, build, lambda path: cls(split_dir, path, path / ARCHIVE)
            )
        archive = _find_archive(split_dir)
        files = sorted(file for file in archive.rglob("*") if _is_content(file, archive))
        name, build = build_unchanged(
            files, FORMAT, memory=places, build=partial(_build_from_archive, archive)
        )

        def opened(path: Path) -> "CellStore":
            is_rewritten = (path / ARCHIVE).is_dir()
            return cls(split_dir, path, path / ARCHIVE if is_rewritten else archive)

        return open_or_build(name, places, build, opened)

    @property
    def where(self) -> str:
        """What to call the cells in messages: their folder, or the file that a link leads to."""
        h5ad = self.split_dir / H5AD
        return str(_target(h5ad) if h5ad.is_symlink() else self.split_dir)

    @cached_property
    def cell_ids(self) -> tuple[str, ...]:
        """The name of each cell; read when first asked for."""
        return cell_ids(self.archive, self.num_cells)

    @property
    def gene_names(self) -> tuple[str, ...]:
        """The name of each column: its feature id or Ensembl id where there is one."""
        return self.genes.names

    @property
    def removed_counts(self) -> Float[ndarray, " column"]:
        """What each column held of features that are no genes; their counts are taken out."""
        path = self.path / REMOVED
        return np.asarray(np.load(path)) if path.is_file() else np.zeros(len(self.gene_names))

    @cached_property
    def genes(self) -> GeneNames:
        """What the columns are called, and which of them are counted."""
        return gene_features(self.archive)

    @property
    def num_values(self) -> Int[ndarray, " cell"]:
        """The number of genes with a count in each cell, known to a vocabulary or not."""
        return np.diff(np.asarray(self._row_ptr).astype(np.int64))

    def row(self, cell: int) -> tuple[Real[ndarray, " gene"], Real[ndarray, " gene"]]:
        """The non-zero counts of a cell and their columns, ascending."""
        here = slice(self._row_ptr[cell], self._row_ptr[cell + 1])
        return self._counts[here], self._columns[here]

    def rows_of(self, cells: Int[ndarray, " cell"]) -> tuple[Real[ndarray, " _"], ...]:
        """Concatenated counts and columns of cells, and how many each cell has."""
        starts = self._row_ptr[cells].astype(np.int64)
        stops = self._row_ptr[cells + 1].astype(np.int64)
        rows = [slice(*bounds) for bounds in zip(starts.tolist(), stops.tolist(), strict=True)]
        parts = [
            self._copied(rows[first : first + CELLS_KEPT])
            for first in range(0, len(rows), CELLS_KEPT)
        ]
        counts, columns = zip(*parts, strict=True)
        return np.concatenate(counts), np.concatenate(columns), stops - starts

    def _copied(self, rows: Sequence[slice]) -> tuple[Real[ndarray, " _"], ...]:
        """Counts and columns of some rows, out of the mapped pages."""
        self._pages.count(len(rows))
        arrays = self._counts, self._columns
        return tuple(np.concatenate([array[row] for row in rows]) for array in arrays)

    def rows(self, start: int, stop: int) -> tuple[Real[ndarray, " value"], ...]:
        """Counts, columns and row pointers (from 0) of consecutive cells."""
        self._pages.count(stop - start)
        pointers = self._row_ptr[start : stop + 1].astype(np.int64)
        here = slice(pointers[0], pointers[-1])
        return self._counts[here], self._columns[here], pointers - pointers[0]

    def blocks(self) -> Iterator[tuple[slice, Real[ndarray, " _"], Real[ndarray, " _"], ndarray]]:
        """All cells, some at a time: which these are, and what `rows` returns of them."""
        for rows in row_blocks(len(self)):
            counts, columns, pointers = self.rows(rows.start, rows.stop)
            yield rows, counts, columns, pointers


def _find_archive(split_dir: Path) -> Path:
    if not split_dir.is_dir():
        raise FileNotFoundError(
            f"expected a folder of cells at {split_dir}; there is no such folder"
        )
    for folder in (split_dir, split_dir / ARCHIVE):
        if is_archive(folder):
            return folder
    held = ", ".join(sorted(child.name for child in split_dir.iterdir())) or "nothing"
    raise FileNotFoundError(
        f"expected {H5AD}, or an SCDL archive, in {split_dir}; it holds {held}. "
        "`geneformer-t prepare INPUT.h5ad --output_dir DIR` makes such folders"
    )


def _is_content(file: Path, archive: Path) -> bool:
    """Whether a file is part of an archive; a cache inside it is not."""
    inside = file.relative_to(archive).parts
    return file.suffix in {".npy", ".parquet", ".sch"} and not inside[0].startswith(".")


def _target(file: Path) -> Path:
    """The file that a link leads to, which users know; the link may be in a temporary folder."""
    return file.parent / file.readlink() if file.is_symlink() else file


def _build_from_h5ad(h5ad: Path, folder: Path) -> None:
    with h5ad_source(_target(h5ad)) as source:
        _build(source, folder, convert=True)


def _build_from_archive(archive: Path, folder: Path) -> None:
    _build(archive_source(archive), folder, convert=False)


def _build(source: CountSource, folder: Path, *, convert: bool) -> None:
    check_cell_ids(source.cell_ids, source.where)
    logger.info("converting %s, %d cells x %d genes", source.where, *source.shape)
    found = survey(source)
    np.save(folder / TOTALS, found.totals)
    if source.removed is not None:
        np.save(folder / REMOVED, source.removed.counts)
        convert = True
    if convert or not found.is_canonical:
        write_archive(source, found, folder / ARCHIVE)
