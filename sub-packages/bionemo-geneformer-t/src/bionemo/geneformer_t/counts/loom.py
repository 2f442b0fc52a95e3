"""Opens .loom files: an HDF5 matrix of genes x cells with attributes of both.

Read with h5py in slabs of cells; loompy is not needed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from bionemo.geneformer_t.counts.checks import native_counts
from bionemo.geneformer_t.counts.data_frames import native
from bionemo.geneformer_t.counts.formats import InputFile, MatrixChoice, counts_of
from bionemo.geneformer_t.counts.hdf5 import open_hdf5, reading
from bionemo.geneformer_t.counts.stored_matrix import RawBlock

CELL_NAMES = (
    "CellID", "obs_names", "cell_names", "Cell_ID", "barcode", "barcodes", "cell_barcode", "cell",
    "index", "_index",
)  # fmt: skip
GENE_NAMES = (
    "Gene", "var_names", "gene_names", "GeneName", "gene_name", "gene_symbol", "symbol",
    "feature_name", "index", "_index",
)  # fmt: skip
GENE_IDS = ("Accession", "feature_id", "ensembl_id", "gene_ids", "gene_id")
_VALUES = 1 << 22
_PARTS = ("spliced", "unspliced")
"""Layers of the files of velocyto, whose matrix is their sum."""


@contextmanager
def loom_input(path: Path, choice: MatrixChoice) -> Iterator[InputFile]:
    """A .loom file.

    Raises:
        KeyError: No such layer; or raw, which .loom does not have.
        ValueError: It is damaged, does not name its cells or genes, or cell ids are not unique.
    """
    options, layer = choice.options, choice.layer
    if choice.use_raw:
        raise KeyError(f"{path} holds no raw: .loom has layers only; leave {options.raw} out")
    with open_hdf5(path) as file:
        for name in ("matrix", "row_attrs", "col_attrs"):
            if name not in file:
                raise ValueError(f"{path} holds no {name!r}, which every .loom file has")
        layers = sorted(file["layers"]) if "layers" in file else []
        if layer is not None and layer not in layers:
            held = ", ".join(layers) or "none"
            raise KeyError(f"{path} holds no layer {layer!r}; it holds: {held}")
        matrix = file["matrix"] if layer is None else file["layers"][layer]
        num_genes, num_cells = matrix.shape
        obs, no_cells = _frame(file["col_attrs"], CELL_NAMES, num_cells, path, "cells")
        var, no_genes = _frame(
            file["row_attrs"], (*GENE_NAMES, *GENE_IDS), num_genes, path, "genes"
        )
        named = next((name for name in GENE_IDS if name in var), None)
        if named is not None:
            var["feature_id"] = var[named].astype(str)
        others = " or ".join(options.layer.format(name) for name in layers if name != layer)
        what = "its matrix" if layer is None else f"layer {layer!r}"
        counts = counts_of(
            path,
            what,
            tuple(obs.index),
            var,
            choice,
            lambda: _blocks(matrix, path, f"{path}: {what}"),
            way_out=lambda: (
                f"This file also holds layers; choose with: {others}"
                if others
                else "It holds no layers"
            ),
        )
        which = _which_matrix(path, layers, choice)
        yield InputFile(
            path=path,
            obs=obs,
            var=var,
            counts=counts,
            notes=(*which, *counts.genes.notes),
            left_out=(*no_cells, *no_genes),
        )


def _which_matrix(path: Path, layers: Sequence[str], choice: MatrixChoice) -> tuple[str, ...]:
    """Of a file with spliced and unspliced counts: which are taken."""
    if not set(_PARTS) <= set(layers) or choice.layer not in {None, *_PARTS}:
        return ()
    spliced = choice.options.layer.format("spliced")
    taken = (
        f"its matrix was taken, in velocyto's files the total of {', '.join(layers)}; {spliced} "
        "takes spliced counts alone, as anndata.read_loom does"
        if choice.layer is None
        else f"{choice.layer} counts were taken, not the total, which is its matrix"
    )
    return (
        f"{path}: {taken}. Take the same counts in prepare, predict and embed: a model ranks genes "
        "differently by others",
    )


def _frame(
    group: Any, names: tuple[str, ...], length: int, path: Path, what: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The attributes with one value each, names as index, and a note on the other attributes."""
    columns: dict[str, Any] = {}
    left_out = []
    for name in group:
        element = group[name]
        values = _values(element) if isinstance(element, h5py.Dataset) else None
        if values is None:
            left_out.append(name)
        elif len(values) != length:
            raise ValueError(
                f"{path}: the attribute {name!r} has {len(values):,} values, and the matrix "
                f"{length:,} {what}"
            )
        else:
            columns[name] = values
    note = (
        f"{path}: attributes of {what} with several values each or a structure, which are no "
        f"columns: {', '.join(left_out)}; left out"
    )
    index = pd.Index(columns.pop(_named(columns, names, path, what)), dtype=object).astype(str)
    return pd.DataFrame(columns, index=index), (note,) if left_out else ()


def _named(columns: dict[str, Any], names: tuple[str, ...], path: Path, what: str) -> str:
    """The attribute that names the cells or genes: one of a usual name, else the only unique text.

    anndata writes the index under whatever name it has.
    """
    usual = {name.lower(): number for number, name in reversed(list(enumerate(names)))}
    known = sorted((usual[name.lower()], name) for name in columns if name.lower() in usual)
    if known:
        return known[0][1]
    texts = [name for name, values in columns.items() if values.dtype == object]
    unique = [name for name in texts if pd.Index(columns[name]).is_unique]
    if len(unique) != 1:
        found = (
            f"several hold unique text: {', '.join(unique)}" if unique else "none is unique text"
        )
        raise ValueError(
            f"{path} does not name its {what}: expected an attribute {', '.join(names)}; it has "
            f"{', '.join(columns) or 'none'}, and {found}. Rename the one that names the {what}"
        )
    return unique[0]


def _values(dataset: h5py.Dataset) -> Any:
    """One number or text for each cell or gene; None for anything else."""
    if dataset.ndim != 1 or dataset.dtype.names is not None:
        return None
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return dataset.asstr()[:].astype(object)
    return native(dataset[:]) if dataset.dtype.kind in "biufS" else None


def _blocks(matrix: Any, path: Path, where: str) -> Iterator[RawBlock]:
    num_genes, num_cells = matrix.shape
    width = max(1, _VALUES // max(1, num_genes))
    for start in range(0, num_cells, width):
        with reading(path):
            block = matrix[:, start : start + width].T
        yield np.ascontiguousarray(native_counts(block, where)), start, 0
