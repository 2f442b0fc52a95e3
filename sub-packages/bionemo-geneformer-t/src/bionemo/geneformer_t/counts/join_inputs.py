"""Several inputs as one: obs below one another, genes joined by their resolved id.

`obs["source_file"]` says where each cell came from. Cell ids that occur in two files (10x barcodes
do) are followed by the file's name, in all files, as `AAACCTG-1-sample2`. A gene that a file lacks
has no counts there; how many genes that concerns is reported. Columns of obs and arrays of obsm
are joined by their names.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.counts.count_file import CountFile, cell_bar, write_count_file
from bionemo.geneformer_t.counts.duplicate_cells import row_digests
from bionemo.geneformer_t.counts.features import SPIKE_IN, left_out_notes, without_columns
from bionemo.geneformer_t.counts.formats import InputFile, MatrixChoice, open_input
from bionemo.geneformer_t.counts.joined_genes import (
    GeneChoice,
    GeneTable,
    JoinedGenes,
    check_shared_genes,
    join_genes,
    resolve_genes,
)
from bionemo.geneformer_t.counts.joined_var import joined_var
from bionemo.geneformer_t.counts.row_order import row_wise

if TYPE_CHECKING:
    import pandas as pd

SOURCE_FILE = "source_file"
_ROWS = 8192


@dataclass(frozen=True, kw_only=True)
class InputCells:
    """All cells of the inputs, their counts on disk."""

    obs: "pd.DataFrame"
    var: "pd.DataFrame"
    """One row for each gene, its name in `feature_id`; of several inputs, its symbol in
    `feature_name`."""
    genes: JoinedGenes
    counts: CountFile
    totals: Float[ndarray, " cell"]
    digests: Shaped[ndarray, " cell"]
    """Equal for cells with equal counts."""
    counts_of_column: tuple[Float[ndarray, " _"], ...]
    """For each input, the counts of each of its columns."""
    obsm: Mapping[str, "StackedRows"]
    obsp: Mapping[str, Callable[[], Any]]
    notes: tuple[str, ...]

    @property
    def counts_of_gene(self) -> Float[ndarray, " gene"]:
        """The counts of each gene in all inputs."""
        total = np.zeros(len(self.genes.names))
        for columns, counts in zip(self.genes.gene_of_column, self.counts_of_column, strict=True):
            is_gene = columns >= 0
            total += np.bincount(columns[is_gene], counts[is_gene], minlength=len(total))
        return total


@dataclass(frozen=True)
class StackedRows:
    """Tables of several files on top of each other, read where they are needed."""

    parts: tuple[Any, ...] = field(repr=False)

    def read(self, rows: Int[ndarray, " row"]) -> ndarray | sp.csr_matrix:
        """Some rows, given in ascending order; sparse where they are stored sparse."""
        found, first = [], 0
        for part in self.parts:
            for start in range(0, part.shape[0], _ROWS):
                stop = min(start + _ROWS, part.shape[0])
                low, high = np.searchsorted(rows, (first + start, first + stop))
                if low < high:
                    block = part[start:stop]
                    block = block if sp.issparse(block) else np.asarray(block)
                    found.append(block[rows[low:high] - first - start])
            first += part.shape[0]
        width = self.parts[0].shape[1]
        if any(map(sp.issparse, found)):
            return sp.csr_matrix(sp.vstack(found, format="csr"))
        return np.concatenate([np.zeros((0, width), dtype=self.parts[0].dtype), *found])


def read_inputs(
    paths: Sequence[Path],
    folder: Path,
    stack: ExitStack,
    *,
    choice: MatrixChoice | None = None,
    genes: GeneChoice | None = None,
    min_shared_genes: float = 0.5,
) -> InputCells:
    """Open inputs, join them, and write their counts to disk.

    Args:
        paths: Files and folders.
        folder: Where the counts go; new.
        stack: Keeps the inputs open.
        choice: Which matrix of each holds the counts.
        genes: Which columns are genes, and what they are called.
        min_shared_genes: Smallest fraction of the genes of the smaller of two inputs that the
            other has.

    Raises:
        ValueError: An input is given twice, values are no raw counts, or inputs hardly share genes;
            or as `open_input` and `resolve_genes` say.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError(f"each input can be given once; got {', '.join(map(str, paths))}")
    files = [stack.enter_context(open_input(path, choice)) for path in paths]
    tables = [resolve_genes(file.counts.genes, genes, str(file.path)) for file in files]
    joined = join_genes(tables)
    check_shared_genes(joined, list(map(str, paths)), min_shared_genes)
    obs, notes = _join_obs(files)
    obsm, more_notes = _join_obsm(files)
    var, notes_on_symbols = joined_var(files, joined)
    tally = _Tally(files)
    counts = write_count_file(
        folder / "cells", _rows(files, joined, folder, tally), len(joined.names)
    )
    counts_of_column = tuple(map(_with_removed, files, tally.counts_of_column))
    if genes is not None and genes.genome is not None and not any(t.genomes for t in tables):
        more_notes.append(f"no input holds genes of several genomes: {genes.genome} chose nothing")
    more_notes += [
        note
        for file, table, values in zip(files, joined.tables, counts_of_column, strict=True)
        for note in _notes_on_genes(file, table, values)
    ]
    of_files = [
        note
        for file in files
        for note in (*file.notes, *file.counts.notes_on_rounding, *file.left_out)
    ]
    return InputCells(
        obs=obs,
        var=var,
        genes=joined,
        counts=counts,
        totals=np.concatenate(tally.totals),
        digests=np.concatenate(tally.digests),
        counts_of_column=counts_of_column,
        obsm=obsm,
        obsp=_join_obsp(files),
        notes=(*of_files, *notes, *more_notes, *notes_on_symbols),
    )


class _Tally:
    """What one pass over the counts adds up."""

    def __init__(self, files: Sequence[InputFile]) -> None:
        self.totals: list[ndarray] = []
        self.digests: list[ndarray] = []
        self.counts_of_column = [np.zeros(len(file.var)) for file in files]


def _rows(
    files: Sequence[InputFile], genes: JoinedGenes, folder: Path, tally: _Tally
) -> Iterator[sp.csr_array]:
    """The counts of all inputs in rows of the joined genes."""
    with cell_bar("reading counts", sum(len(file.obs) for file in files)) as bar:
        for number, (file, columns) in enumerate(zip(files, genes.gene_of_column, strict=True)):
            in_place = np.array_equal(columns, np.arange(len(columns)))
            with row_wise(file.counts, folder) as rows:
                for counts in (block.counts for block in rows.blocks()):
                    tally.counts_of_column[number] += np.bincount(
                        counts.indices, counts.data, minlength=len(columns)
                    )
                    joined = counts if in_place else _renamed(counts, columns)
                    joined = sp.csr_array(
                        (joined.data.astype(np.float32), joined.indices, joined.indptr),
                        shape=(counts.shape[0], len(genes.names)),
                    )
                    tally.totals.append(np.asarray(joined.sum(axis=1, dtype=np.float64)).ravel())
                    tally.digests.append(row_digests(joined))
                    yield joined
                    bar.update(counts.shape[0])


def _with_removed(file: InputFile, counts: Float[ndarray, " column"]) -> Float[ndarray, " column"]:
    """The counts of each column, with those that were taken out because they are no genes'."""
    removed = file.counts.removed
    return counts if removed is None else counts + removed.counts


def _notes_on_genes(
    file: InputFile, table: GeneTable, counts: Float[ndarray, " column"]
) -> list[str]:
    """What of an input's columns is no gene of its cells."""
    notes = left_out_notes(str(file.path), table.readable, table.left_out, counts)
    if SPIKE_IN in table.left_out:
        notes.append("--keep_spike_ins takes spike-ins as genes")
    return [*table.notes, *notes]


def _renamed(block: sp.csr_array, columns: Int[ndarray, " column"]) -> sp.csr_array:
    """Columns under their joined number; columns of one gene are summed, others left out."""
    if (columns < 0).any():
        block = without_columns(block, columns < 0)
    renamed = sp.csr_array(
        (block.data, columns[block.indices], block.indptr.copy()),
        shape=(block.shape[0], int(columns.max(initial=0)) + 1),
    )
    renamed.sum_duplicates()
    return renamed


def _join_obs(files: Sequence[InputFile]) -> "tuple[pd.DataFrame, list[str]]":
    import pandas as pd

    if len(files) == 1:
        return files[0].obs, []
    labels = _labels([file.path for file in files])
    frames = [
        file.obs.assign(**{SOURCE_FILE: label}) for file, label in zip(files, labels, strict=True)
    ]
    ids = pd.Index([name for frame in frames for name in frame.index])
    notes = []
    if not ids.is_unique:
        notes.append(
            f"{int(ids.duplicated().sum()):,} cell ids occur in more than one input, for example "
            f"{ids[ids.duplicated()][0]!r}: every id is followed by the name of its file, as in "
            f"{frames[0].index[0]}-{labels[0]}"
        )
        for frame, label in zip(frames, labels, strict=True):
            frame.index = frame.index + f"-{label}"
    joined = pd.concat(frames, join="outer")
    incomplete = [name for name in joined if any(name not in frame for frame in frames)]
    for name in joined:
        joined[name] = _of_one_kind(joined[name])
    joined[SOURCE_FILE] = pd.Categorical(joined[SOURCE_FILE], categories=labels)
    if incomplete:
        notes.append(f"columns of obs that not all inputs have: {', '.join(map(str, incomplete))}")
    return joined, notes


def _of_one_kind(column: "pd.Series[Any]") -> Any:
    """A column that can be written: what is left of joining different types becomes text."""
    if column.dtype != object:
        return column
    there = column.notna()
    if set(map(type, column[there])) <= {bool, np.bool_}:
        return column.astype("boolean")
    return column.astype(object).where(~there, column.astype(str)).astype("category")


def _labels(paths: Sequence[Path]) -> list[str]:
    """A short name for each input: its file's, or its whole path where two files have the same."""
    stems = [path.stem if path.suffix else path.name for path in paths]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in paths]


def _join_obsm(files: Sequence[InputFile]) -> tuple[Mapping[str, StackedRows], list[str]]:
    joined, left_out = {}, []
    for key in dict.fromkeys(key for file in files for key in file.obsm):
        parts = [file.obsm[key] for file in files if key in file.obsm]
        if len(parts) == len(files) and len({part.shape[1] for part in parts}) == 1:
            joined[key] = StackedRows(tuple(parts))
        else:
            left_out.append(f"obsm[{key!r}] is not in all inputs with the same width; left out")
    return joined, left_out


def _join_obsp(files: Sequence[InputFile]) -> Mapping[str, Callable[[], Any]]:
    """Cells x cells matrices that all inputs hold; cells of different inputs are not linked."""
    shared = [key for key in files[0].obsp if all(key in file.obsp for file in files)]
    return {key: partial(_stacked, files, key) for key in shared}


def _stacked(files: Sequence[InputFile], key: str) -> sp.csr_array:
    return sp.csr_array(sp.block_diag([file.obsp[key]() for file in files], format="csr"))
