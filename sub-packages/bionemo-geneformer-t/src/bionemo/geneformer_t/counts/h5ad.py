"""Opens .h5ad files and .zarr folders: two stores of the same groups."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem

from bionemo.geneformer_t.counts.data_frames import native_matrix, read_frame, read_index
from bionemo.geneformer_t.counts.formats import InputFile, MatrixChoice, counts_of
from bionemo.geneformer_t.counts.gene_names import GeneNames
from bionemo.geneformer_t.counts.hdf5 import open_hdf5
from bionemo.geneformer_t.counts.source import (
    OF_PREPARE,
    CountSource,
    MatrixOptions,
)
from bionemo.geneformer_t.counts.stored_matrix import StoredMatrix, stored_matrix
from bionemo.geneformer_t.counts.velocity_transitions import (
    NEGATIVE,
    velocity_graph_names,
    velocity_transitions,
)

_SPARSE = {"csr_matrix", "csc_matrix"}
Store = Any
"""An open HDF5 file, or a zarr group."""


@contextmanager
def h5ad_input(path: Path, choice: MatrixChoice) -> Iterator[InputFile]:
    """An .h5ad file.

    Raises:
        ValueError: It is truncated, leads into other files, or as `_describe` says.
    """
    with open_hdf5(path) as file:
        yield _describe(file, path, choice)


def backed_cells(path: Path, setting: str) -> anndata.AnnData:
    """The cells of an .h5ad, whose matrices stay in the file.

    Args:
        path: Of the file.
        setting: Which named it, for messages.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no .h5ad, truncated, or leads into other files.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{setting}: expected an .h5ad file at {path}; there is none")
    with open_hdf5(path):
        pass  # it can be read
    return anndata.read_h5ad(path, backed="r")


@contextmanager
def zarr_input(path: Path, choice: MatrixChoice) -> Iterator[InputFile]:
    """A .zarr folder written by anndata.

    Its groups are listed as they are: consolidated metadata, a copy of all of them that anndata
    writes at the end, does not know what was added or removed since.

    Raises:
        ValueError: It is no zarr group, or as `_describe` says.
    """
    import zarr

    try:
        group = zarr.open_group(str(path), mode="r", use_consolidated=False)
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as zarr ({error}); write it again") from error
    yield _describe(group, path, choice)


def _describe(store: Any, path: Path, choice: MatrixChoice) -> InputFile:
    """What a store holds.

    Raises:
        KeyError: No such layer, or no `raw`.
        ValueError: It holds no X, `obs` or `var` cannot be read, its parts do not fit together, or
            cell ids are not unique.
    """
    counts, var = _counts(store, path, choice)
    obsm, left_out = _tables(store, len(counts.cell_ids))
    return InputFile(
        path=path,
        obs=read_frame(store, "obs", str(path)),
        var=var,
        counts=counts,
        obsm=obsm,
        obsp={
            **_velocity_matrices(store, len(counts.cell_ids)),
            **{key: partial(_square, store, key) for key in _keys_of(store, "obsp")},
        },
        notes=counts.genes.notes,
        left_out=tuple(
            f"{path}: obsm[{key!r}] is no table of numbers; left out" for key in left_out
        ),
    )


@contextmanager
def h5ad_source(path: Path, layer: str | None = None) -> Iterator[CountSource]:
    """The matrix X, or a layer, of an .h5ad file, open for as long as the context lasts.

    Raises:
        KeyError: No such layer.
        ValueError: The file is truncated, leads into others, holds no X, or its parts do not fit
            together.
    """
    with open_hdf5(path) as file:
        yield _counts(file, path, MatrixChoice(layer=layer, options=OF_PREPARE))[0]


def _counts(store: Store, path: Path, choice: MatrixChoice) -> tuple[CountSource, pd.DataFrame]:
    """The counts of a store, and the `var` of their genes."""
    matrix = _choose(store, path, choice)
    cell_ids = read_index(store, "obs", str(path))
    var = read_frame(_raw(store) if choice.use_raw else store, "var", str(path))
    if matrix.shape != (len(cell_ids), len(var)):
        raise ValueError(
            f"{path}: {matrix.name} has shape {matrix.shape}, but obs and var name "
            f"{len(cell_ids)} cells and {len(var)} genes"
        )
    counts = counts_of(
        path,
        matrix.name,
        cell_ids,
        var,
        choice,
        matrix.blocks,
        by_rows=matrix.layout != "csc",
        num_values=matrix.num_values,
        way_out=lambda: _way_out(store, path, matrix.name, choice.options),
    )
    return counts, var


def _keys_of(store: Store, name: str) -> list[str]:
    """The entries of a group such as `layers`, `obsm` or `obsp`; none where it is no group."""
    group = store.get(name, {})
    return sorted(group) if hasattr(group, "keys") else []


def _choose(store: Store, path: Path, choice: MatrixChoice) -> StoredMatrix:
    """The matrix that was chosen."""
    layer, options = choice.layer, choice.options
    if choice.use_raw:
        raw = _raw(store)
        if "X" not in raw:
            raise KeyError(
                f"{path} holds no raw; leave {options.raw} out to take X, or name a layer with "
                f"{options.layer.format('NAME')}"
            )
        return stored_matrix(raw["X"], path, "raw")
    if layer is None:
        if not _holds_x(store):
            raise ValueError(
                f"{path} holds no X; expected raw counts in X. "
                f"{_way_out(store, path, 'X', options)}"
            )
        return stored_matrix(store["X"], path, "X")
    layers = _keys_of(store, "layers")
    if layer not in layers:
        raise KeyError(f"{path} holds no layer {layer!r}; it holds: {', '.join(layers) or 'none'}")
    return stored_matrix(store["layers"][layer], path, _layer_name(layer))


def _raw(store: Store) -> Mapping[str, Any] | Any:
    """The group `raw`; anndata 0.6 wrote its parts beside the others."""
    if "raw" in store:
        return store["raw"]
    return {name: store[f"raw.{name}"] for name in ("X", "var") if f"raw.{name}" in store}


def _way_out(store: Store, path: Path, tried: str, options: MatrixOptions) -> str:
    """Which other matrices of the store are raw counts, and how to take them."""
    others = {}
    if _holds_x(store):
        others["X"] = (f"X ({options.neither})", store["X"])
    for layer in _keys_of(store, "layers"):
        others[_layer_name(layer)] = (options.layer.format(layer), store["layers"][layer])
    if "X" in (raw := _raw(store)):
        others["raw"] = (options.raw, raw["X"])
    good = [
        option
        for name, (option, element) in others.items()
        if name != tried and _is_counts(element, path, name)
    ]
    if good:
        return f"This file holds raw counts elsewhere; take them with: {' or '.join(good)}"
    return (
        "No other matrix of this file (X, layers, raw) holds raw counts: get the unnormalised "
        "matrix from where the data were published, or from the step before normalisation"
    )


def _is_counts(element: Any, path: Path, name: str) -> bool:
    """Whether a matrix that was not asked for holds raw counts; not where it is damaged."""
    try:
        source = CountSource(
            where="",
            cell_ids=(),
            genes=GeneNames.of(()),
            raw_blocks=stored_matrix(element, path, name).blocks,
            way_out=str,
        )
        for _ in source.blocks():
            pass
    except ValueError:  # no counts, or a damaged matrix
        return False
    return True


def _holds_x(store: Store) -> bool:
    return "X" in store and store["X"].attrs.get("encoding-type") != "null"


def _layer_name(layer: str) -> str:
    return f"layer {layer!r}"


class _SparseTable:
    """A sparse table of obsm, such as cells x clones, which is read when rows of it are."""

    def __init__(self, element: Any) -> None:
        self._element = element
        self.shape = tuple(int(size) for size in element.attrs["shape"])
        self.dtype = np.dtype(element["data"].dtype)

    @cached_property
    def _rows(self) -> sp.csr_matrix:
        return sp.csr_matrix(read_elem(self._element))

    def __getitem__(self, rows: slice) -> sp.csr_matrix:
        return self._rows[rows]


def _tables(store: Any, num_cells: int) -> tuple[Mapping[str, Any], list[str]]:
    """The tables of obsm with numbers for each cell, and the names of what is something else."""
    found, left_out = {}, []
    for key in _keys_of(store, "obsm"):
        element = store["obsm"][key]
        if element.attrs.get("encoding-type") in _SPARSE:
            element = _SparseTable(element)
        shape = tuple(getattr(element, "shape", ()))
        dtype = np.dtype(getattr(element, "dtype", object))
        if len(shape) == 2 and shape[:1] == (num_cells,) and dtype.kind in "fiub":
            found[key] = element
        else:
            left_out.append(key)
    return found, left_out


def _velocity_matrices(store: Store, num_cells: int) -> dict[str, Callable[[], sp.csr_array]]:
    """Each of scVelo's velocity graphs in `uns`, and what reads its transitions."""
    uns = store.get("uns", {})
    return {name: partial(_transitions, uns, name, num_cells) for name in velocity_graph_names(uns)}


def _transitions(uns: Any, name: str, num_cells: int) -> sp.csr_array:
    negative = read_elem(uns[name + NEGATIVE]) if name + NEGATIVE in uns else None
    return velocity_transitions(read_elem(uns[name]), negative, num_cells, name)


def _square(store: Any, key: str) -> sp.csr_array:
    return native_matrix(read_elem(store["obsp"][key]))
