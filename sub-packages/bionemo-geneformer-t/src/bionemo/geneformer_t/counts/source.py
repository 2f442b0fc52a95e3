"""Count matrices read block by block, whatever file or object they are in.

Blocks keep memory bounded: rows of a CSR or dense matrix, columns of a CSC one. Everything that
reads a matrix goes through `CountSource.blocks`, which checks that the values are raw counts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bionemo.geneformer_t.counts.checks import (
    ExpectedCountsError,
    NotCountsError,
    check_counts,
    native_counts,
)
from bionemo.geneformer_t.counts.data_frames import native_matrix
from bionemo.geneformer_t.counts.features import RemovedFeatures
from bionemo.geneformer_t.counts.gene_names import GeneNames
from bionemo.geneformer_t.counts.rounding import Rounding
from bionemo.geneformer_t.counts.stored_matrix import RawBlock

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
class MatrixOptions:
    """How a command calls the options that choose the matrix of counts, for its messages."""

    layer: str = "--layer {}"
    raw: str = "--use_raw"
    neither: str = "leave --layer and --use_raw out"
    rounding: str = "--round_counts"


OF_PREPARE = MatrixOptions(
    layer="geneformer-t prepare --layer {}",
    raw="geneformer-t prepare --use_raw",
    rounding="geneformer-t prepare --round_counts",
)
"""For data folders, whose matrix nothing chooses any more."""


def _general_advice() -> str:
    return (
        "Give the matrix of raw counts as X; if it is a layer or raw, "
        f"`{OF_PREPARE.layer.format('NAME')}` or `--use_raw` takes it from there"
    )


@dataclass(frozen=True, kw_only=True)
class CountSource:
    """A matrix of raw counts, cells x genes, and what its rows and columns are called."""

    where: str
    """What to call it in messages."""
    cell_ids: tuple[str, ...]
    genes: GeneNames
    """What the columns are called; features that are no genes are taken out of the blocks."""
    raw_blocks: Callable[[], Iterator[RawBlock]]
    """Rectangles (dense, CSR or CSC) with their first row and column; left to right in each row."""
    by_rows: bool = True
    """Whether they are whole rows from the first to the last; otherwise they come in any order."""
    num_values: int = 0
    """Stored values, where they do not come in rows."""
    var_names: tuple[str, ...] = ()
    """The index of `var` for each column, where it has one."""
    rounding: Rounding | None = None
    """Rounds expected counts; by default fractions are refused."""
    way_out: Callable[[], str] = _general_advice
    """Where raw counts may be found, once the chosen matrix turns out to hold none."""
    options: MatrixOptions = OF_PREPARE

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return len(self.cell_ids), len(self.gene_names)

    @property
    def gene_names(self) -> tuple[str, ...]:
        """The first name of each column, by which the vocabulary may know it."""
        return self.genes.names

    @property
    def removed(self) -> RemovedFeatures | None:
        """What the last pass took out of the blocks; None where all columns are genes."""
        return self.genes.removed

    @property
    def notes_on_rounding(self) -> tuple[str, ...]:
        """What rounding changed in the last pass; nothing where there was none."""
        note = self.rounding.note(self.where) if self.rounding is not None else ""
        return (note,) if note else ()

    def blocks(self) -> Iterator[CountBlock]:
        """The matrix in rectangles of raw counts.

        Raises:
            NotCountsError: Values are no raw counts; says where counts are, or how to make them.
        """
        if self.rounding is not None:
            self.rounding.start()
        if self.removed is not None:
            self.removed.start()
        for raw, first_row, first_column in self.raw_blocks():
            _check_indices(raw, self.where)
            try:
                rows = in_rows(raw, self.where)
                if self.removed is not None:
                    rows = self.removed.drop(rows, first_column)
                counts, was_canonical = self._canonical(rows)
            except ExpectedCountsError as error:
                advice = (
                    f"{self.options.rounding} rounds each value to the nearest whole number. Or, "
                    "where the file holds raw counts elsewhere, choose them"
                )
                raise NotCountsError(f"{error}. {advice}") from error
            except NotCountsError as error:
                raise NotCountsError(f"{error}. {self.way_out()}".removesuffix(". ")) from error
            yield CountBlock(counts, first_row, first_column, was_canonical)

    def _canonical(self, counts: sp.csr_array) -> tuple[sp.csr_array, bool]:
        """Checked counts, and whether they were stored without zeros, in order, each once."""
        if self.rounding is None:
            check_counts(counts.data, self.where)
        if counts.dtype.itemsize < np.dtype(np.float32).itemsize:
            counts = counts.astype(np.int32)  # the sum of two parts of a count may be larger
        stored, in_order = counts.nnz, bool(counts.has_sorted_indices)
        counts.sum_duplicates()
        if self.rounding is not None:
            counts.data = self.rounding.apply(counts.data, self.where)
        counts.eliminate_zeros()
        return counts, in_order and counts.nnz == stored


def in_rows(raw: Any, where: str) -> sp.csr_array:
    """A rectangle by rows, in a type that SciPy can work with.

    Raises:
        NotCountsError: As `native_counts` says.
    """
    return native_matrix(raw, partial(native_counts, where=where))


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
        ValueError: Names the ids that are not unique.
    """
    if not cell_ids:
        raise ValueError(f"{where} holds no cells")
    index = pd.Index(cell_ids)
    if not index.is_unique:
        repeated = index[index.duplicated()].unique()
        raise ValueError(
            f"{where}: cell ids must be unique, since successors are found by them; "
            f"{len(repeated):,} occur more than once ({', '.join(repeated[:_SHOWN])}). "
            "Rename them, for example with adata.obs_names_make_unique(), before successors are "
            "computed"
        )
