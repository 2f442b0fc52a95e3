"""Opens what Cell Ranger writes: 10x .h5 files, and folders with matrix.mtx, features and barcodes.

The matrix of genes x cells by columns is one of cells x genes by rows. It is read in blocks;
scanpy's readers hold all of it.
"""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from bionemo.geneformer_t.counts.formats import InputFile, MatrixChoice, counts_of
from bionemo.geneformer_t.counts.hdf5 import open_hdf5
from bionemo.geneformer_t.counts.stored_matrix import RawBlock, StoredMatrix

_LINES = 1 << 20


@contextmanager
def tenx_h5_input(path: Path, choice: MatrixChoice) -> Iterator[InputFile]:
    """A matrix that Cell Ranger wrote, version 2 (one genome) or 3 and later.

    Raises:
        KeyError: A layer or raw was asked for.
        ValueError: It is no such file, holds several genomes, or cell ids are not unique.
    """
    choice.refuse_for(path, "a 10x file")
    with open_hdf5(path) as file:
        group = _matrix_group(file, path)
        cell_ids = _strings(group["barcodes"])
        features = _stored_features(group)
        matrix = StoredMatrix(
            path=path,
            name="its matrix",
            layout="csr",
            shape=(len(cell_ids), len(features)),
            element=group,
        )
        counts = counts_of(path, matrix.name, cell_ids, features, choice, matrix.blocks)
        yield InputFile(
            path=path,
            obs=pd.DataFrame(index=pd.Index(cell_ids, dtype=object)),
            var=features,
            counts=counts,
            notes=counts.genes.notes,
        )


@contextmanager
def mtx_input(path: Path, choice: MatrixChoice) -> Iterator[InputFile]:
    """A folder with a matrix of genes x cells, as Cell Ranger writes it.

    Raises:
        FileNotFoundError: One of the three files is missing.
        KeyError: A layer or raw was asked for.
        ValueError: The files do not fit together, are damaged, or cell ids are not unique.
    """
    choice.refuse_for(path, "a 10x folder")
    matrix = _find(path, "matrix.mtx")
    cell_ids = _cell_ids(_find(path, "barcodes.tsv"))
    features = _listed_features(_find(path, "features.tsv", "genes.tsv"))
    num_features, num_cells, num_values = _size(matrix)
    if (num_features, num_cells) != (len(features), len(cell_ids)):
        raise ValueError(
            f"{matrix} is {num_features:,} genes x {num_cells:,} cells, but the files beside it "
            f"name {len(features):,} genes and {len(cell_ids):,} cells"
        )
    counts = counts_of(
        path,
        matrix.name,
        cell_ids,
        features,
        choice,
        lambda: _blocks(matrix, num_features, num_cells, num_values),
        by_rows=False,
        num_values=num_values,
    )
    yield InputFile(
        path=path,
        obs=pd.DataFrame(index=pd.Index(cell_ids, dtype=object)),
        var=features,
        counts=counts,
        notes=counts.genes.notes,
    )


def _find(folder: Path, *names: str) -> Path:
    for name in names:
        for file in (folder / name, folder / f"{name}.gz"):
            if file.is_file():
                return file
    held = ", ".join(sorted(child.name for child in folder.iterdir())[:8]) or "nothing"
    raise FileNotFoundError(
        f"input: a 10x folder needs {' or '.join(names)} (or .gz); {folder} holds {held}"
    )


def _open(path: Path) -> TextIOWrapper:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _listed_features(path: Path) -> pd.DataFrame:
    """Ids, and symbols and types where there are columns for them in every row or in none."""
    with _open(path) as file:
        rows = [line.rstrip("\r\n").split("\t") for line in file if line.strip()]
    if not rows:
        raise ValueError(f"{path} is empty; expected a row for each gene: id, symbol and type")
    table = pd.DataFrame(rows, dtype=object)
    incomplete = table.isna()
    if incomplete.to_numpy().any():
        row = int(np.flatnonzero(incomplete.any(axis=1))[0])
        raise ValueError(
            f"{path}: its rows are of unequal width: row {row + 1} has "
            f"{int((~incomplete).iloc[row].sum())} columns, others have {table.shape[1]}. Every "
            "row needs the same columns: id, symbol and type, divided by tabs"
        )
    columns = [tuple(table[number]) for number in range(min(3, table.shape[1]))]
    ids, symbols = columns[0], columns[min(1, len(columns) - 1)]
    return _feature_frame(ids, symbols, columns[2] if len(columns) > 2 else ())


def _cell_ids(path: Path) -> tuple[str, ...]:
    with _open(path) as file:
        return tuple(line.rstrip("\r\n").partition("\t")[0] for line in file if line.strip())


def _size(path: Path) -> tuple[int, int, int]:
    with _open(path) as file:
        return _skip_header(file, path)


def _skip_header(file: TextIOWrapper, path: Path) -> tuple[int, int, int]:
    """Rows, columns and values; leaves the file at its first value."""
    first = file.readline().lower()
    if not first.startswith("%%matrixmarket matrix coordinate") or "general" not in first:
        raise ValueError(
            f"{path}: expected '%%MatrixMarket matrix coordinate ... general'; got "
            f"{first.strip()!r}"
        )
    line = file.readline()
    while line.startswith("%"):
        line = file.readline()
    try:
        rows, columns, values = (int(part) for part in line.split())
    except ValueError as error:
        raise ValueError(f"{path}: expected three sizes after the header; got {line!r}") from error
    return rows, columns, values


def _blocks(path: Path, num_genes: int, num_cells: int, num_values: int) -> Iterator[RawBlock]:
    seen = 0
    with _open(path) as file:
        _skip_header(file, path)
        lines = pd.read_csv(
            file, sep=r"\s+", header=None, chunksize=_LINES, names=["gene", "cell", "count"],
            dtype={"gene": np.int64, "cell": np.int64, "count": np.float64},
        ) if num_values else []  # fmt: skip
        for chunk in lines:
            seen += len(chunk)
            gene, cell = chunk["gene"].to_numpy() - 1, chunk["cell"].to_numpy() - 1
            for name, place, size in (("gene", gene, num_genes), ("cell", cell, num_cells)):
                if place.min() < 0 or place.max() >= size:
                    raise ValueError(
                        f"{path} is damaged: it has values of {name} {place.min() + 1:,} to "
                        f"{place.max() + 1:,}, of {size:,} that there are. Write it again"
                    )
            first = int(cell.min())
            shape = (int(cell.max()) - first + 1, num_genes)
            values = chunk["count"].to_numpy()
            yield sp.coo_array((values, (cell - first, gene)), shape=shape), first, 0
    if seen != num_values:
        raise ValueError(
            f"{path} is truncated: it announces {num_values:,} values and holds {seen:,}. Copy it "
            "again"
        )


def _feature_frame(
    ids: tuple[str, ...], symbols: tuple[str, ...], kinds: tuple[str, ...]
) -> pd.DataFrame:
    """`var` of all features: symbols as index, ids, and types where they are given."""
    var = pd.DataFrame(
        {"feature_id": np.array(ids, dtype=object)}, index=pd.Index(symbols, dtype=object)
    )
    return var.assign(feature_types=np.array(kinds, dtype=object)) if kinds else var


def _matrix_group(file: h5py.File, path: Path) -> Any:
    groups = [
        name for name in file if isinstance(file[name], h5py.Group) and "indptr" in file[name]
    ]
    if len(groups) != 1 or "barcodes" not in file[groups[0]]:
        held = ", ".join(file) or "nothing"
        raise ValueError(
            f"{path}: expected a 10x matrix of one genome; the file holds {held}. Of several "
            "genomes, write the one you want to a file of its own"
        )
    return file[groups[0]]


def _stored_features(group: Any) -> pd.DataFrame:
    if "features" in group:
        features = group["features"]
        kinds = _strings(features["feature_type"]) if "feature_type" in features else ()
        frame = _feature_frame(_strings(features["id"]), _strings(features["name"]), kinds)
        return frame.assign(genome=_strings(features["genome"])) if "genome" in features else frame
    return _feature_frame(_strings(group["genes"]), _strings(group["gene_names"]), ())


def _strings(dataset: Any) -> tuple[str, ...]:
    return tuple(dataset.asstr()[:])
