"""Opens a 10x folder: matrix.mtx, features.tsv (or genes.tsv) and barcodes.tsv, gzipped or not."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool
from numpy import ndarray

from bionemo.geneformer_t.data.count_source import CountSource, check_cell_ids
from bionemo.geneformer_t.run.input_file import InputFile, refuse_layers
from bionemo.geneformer_t.run.input_tenx import gene_features, other_features

_LINES = 1 << 20


@contextmanager
def mtx_input(path: Path, *, layer: str | None, use_raw: bool) -> Iterator[InputFile]:
    """A folder with a matrix of genes x cells, as Cell Ranger writes it.

    Raises:
        FileNotFoundError: One of the three files is missing.
        KeyError: A layer or raw was asked for.
        ValueError: The files do not fit together, are damaged, or cell ids stand twice.
    """
    refuse_layers(path, layer=layer, use_raw=use_raw, kind="a 10x folder")
    matrix = _find(path, "matrix.mtx")
    cell_ids = tuple(_table(_find(path, "barcodes.tsv"))[0])
    features = _table(_find(path, "features.tsv", "genes.tsv"))
    kinds = tuple(features[2]) if 2 in features else ()
    var, is_gene = gene_features(
        tuple(features[0]), tuple(features[1 if 1 in features else 0]), kinds
    )
    num_features, num_cells, num_values = _size(matrix)
    if (num_features, num_cells) != (len(is_gene), len(cell_ids)):
        raise ValueError(
            f"{matrix} is {num_features:,} genes x {num_cells:,} cells, but the files beside it "
            f"name {len(is_gene):,} genes and {len(cell_ids):,} cells"
        )
    check_cell_ids(cell_ids, str(path))
    yield InputFile(
        path=path,
        obs=pd.DataFrame(index=pd.Index(cell_ids, dtype=object)),
        var=var,
        counts=CountSource(
            where=str(matrix),
            cell_ids=cell_ids,
            gene_names=tuple(var.index),
            gene_symbols=tuple(var.index),
            raw_blocks=lambda: _blocks(matrix, num_values, is_gene),
        ),
        by_rows=False,
        num_values=num_values,
        notes=other_features(path, is_gene),
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


def _table(path: Path) -> Any:
    with _open(path) as file:
        return pd.read_csv(file, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3)


def _size(path: Path) -> tuple[int, int, int]:
    with _open(path) as file:
        return _skip_header(file, path)


def _skip_header(file: TextIOWrapper, path: Path) -> tuple[int, int, int]:
    """Rows, columns and values; the file then stands at its first value."""
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


def _blocks(
    path: Path, num_values: int, is_gene: Bool[ndarray, " feature"]
) -> Iterator[tuple[sp.coo_array, int, int]]:
    column_of = np.cumsum(is_gene) - 1
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
            kept = is_gene[gene]
            gene, cell = column_of[gene[kept]], cell[kept]
            if not len(cell):
                continue
            first = int(cell.min())
            shape = (int(cell.max()) - first + 1, int(is_gene.sum()))
            values = chunk["count"].to_numpy()[kept]
            yield sp.coo_array((values, (cell - first, gene)), shape=shape), first, 0
    if seen != num_values:
        raise ValueError(
            f"{path} is truncated: it announces {num_values:,} values and holds {seen:,}. Copy it "
            "again"
        )
