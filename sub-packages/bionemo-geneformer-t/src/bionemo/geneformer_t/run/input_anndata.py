"""Opens .h5ad files and .zarr folders: two stores of the same groups."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.abc import CSCDataset
from anndata.io import read_elem, sparse_dataset

from bionemo.geneformer_t.data.count_source import (
    CountSource,
    check_cell_ids,
    matrix_blocks,
    open_h5ad,
)
from bionemo.geneformer_t.data.counts import NotCountsError
from bionemo.geneformer_t.run.input_file import InputFile

_SPARSE = ("csr_matrix", "csc_matrix")


@contextmanager
def h5ad_input(path: Path, *, layer: str | None, use_raw: bool) -> Iterator[InputFile]:
    """An .h5ad file.

    Raises:
        ValueError: It is truncated, or as `_describe` says.
    """
    with open_h5ad(path) as file:
        yield _describe(file, path, layer=layer, use_raw=use_raw)


@contextmanager
def zarr_input(path: Path, *, layer: str | None, use_raw: bool) -> Iterator[InputFile]:
    """A .zarr folder written by anndata.

    Raises:
        ValueError: It is no zarr group, or as `_describe` says.
    """
    import zarr

    try:
        group = zarr.open_group(str(path), mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as zarr ({error}); write it again") from error
    yield _describe(group, path, layer=layer, use_raw=use_raw)


def _describe(store: Any, path: Path, *, layer: str | None, use_raw: bool) -> InputFile:
    """What a store holds.

    Raises:
        KeyError: No such layer, or no `raw`.
        ValueError: It holds no X, was written by an old anndata, its parts do not fit together, or
            cell ids stand twice.
    """
    name, matrix = _choose(store, path, layer=layer, use_raw=use_raw)
    obs = _frame(store, "obs", path)
    var = _frame(store["raw"] if use_raw else store, "var", path)
    cell_ids = tuple(obs.index)
    check_cell_ids(cell_ids, str(path))
    if tuple(matrix.shape) != (len(obs), len(var)):
        raise ValueError(
            f"{path}: {name} has shape {tuple(matrix.shape)}, but obs and var name {len(obs)} "
            f"cells and {len(var)} genes"
        )
    by_columns = isinstance(matrix, CSCDataset)
    obsm, left_out = _dense_arrays(store, len(obs))
    return InputFile(
        path=path,
        obs=obs,
        var=var,
        counts=CountSource(
            where=f"{path}: {name}",
            cell_ids=cell_ids,
            gene_names=tuple(var.index),
            gene_symbols=tuple(var.index),
            raw_blocks=lambda: matrix_blocks(matrix, path),
        ),
        by_rows=not by_columns,
        num_values=int(matrix.group["data"].shape[0]) if by_columns else 0,
        obsm=obsm,
        obsp={key: partial(_square, store, key) for key in _keys(store, "obsp")},
        notes=tuple(f"{path}: obsm[{key!r}] is no dense array; left out" for key in left_out),
        way_out=lambda: _way_out(store, path, name),
    )


def _choose(store: Any, path: Path, *, layer: str | None, use_raw: bool) -> tuple[str, Any]:
    """The name and the matrix of what was asked for."""
    if use_raw:
        if "raw" not in store or "X" not in store["raw"]:
            raise KeyError(f"{path} holds no raw; leave use_raw out to take X, or name a layer")
        return "raw", _matrix(store["raw"]["X"])
    if layer is None:
        if not _holds_x(store):
            raise ValueError(f"{path} holds no X. {_way_out(store, path, 'X')}")
        return "X", _matrix(store["X"])
    layers = _keys(store, "layers")
    if layer not in layers:
        raise KeyError(f"{path} holds no layer {layer!r}; it holds: {', '.join(layers) or 'none'}")
    return _layer_name(layer), _matrix(store["layers"][layer])


def _way_out(store: Any, path: Path, tried: str) -> str:
    """Which other matrices of the store are raw counts, and how to take them."""
    others = {}
    if _holds_x(store):
        others["X"] = ("X (leave --layer and --use_raw out)", store["X"])
    for layer in _keys(store, "layers"):
        others[_layer_name(layer)] = (f"--layer {layer}", store["layers"][layer])
    if "raw" in store and "X" in store["raw"]:
        others["raw"] = ("--use_raw", store["raw"]["X"])
    good = [
        option
        for name, (option, element) in others.items()
        if name != tried and _is_counts(_matrix(element), path)
    ]
    if good:
        return f"This file holds raw counts elsewhere; take them with: {' or '.join(good)}"
    return (
        "No other matrix of this file (X, layers, raw) holds raw counts: get the unnormalised "
        "matrix from where the data were published, or from the step before normalisation"
    )


def _is_counts(matrix: Any, path: Path) -> bool:
    source = CountSource(
        where="",
        cell_ids=(),
        gene_names=(),
        gene_symbols=(),
        raw_blocks=lambda: matrix_blocks(matrix, path),
    )
    try:
        for _ in source.blocks():
            pass
    except NotCountsError:
        return False
    return True


def _matrix(element: Any) -> Any:
    return sparse_dataset(element) if element.attrs.get("encoding-type") in _SPARSE else element


def _holds_x(store: Any) -> bool:
    return "X" in store and store["X"].attrs.get("encoding-type") != "null"


def _layer_name(layer: str) -> str:
    return f"layer {layer!r}"


def _frame(store: Any, name: str, path: Path) -> pd.DataFrame:
    if name not in store or store[name].attrs.get("encoding-type") != "dataframe":
        raise ValueError(
            f"{path}: {name} is no table as anndata 0.8 and later write it; read the file and "
            "write it again with a current anndata"
        )
    frame = read_elem(store[name])
    frame.index = frame.index.astype(str)
    return frame


def _keys(store: Any, name: str) -> list[str]:
    return sorted(store[name]) if name in store else []


def _dense_arrays(store: Any, num_cells: int) -> tuple[Mapping[str, Any], list[str]]:
    """The arrays of obsm with numbers for each cell, and the names of what is something else."""
    found, left_out = {}, []
    for key in _keys(store, "obsm"):
        element = store["obsm"][key]
        shape = tuple(getattr(element, "shape", ()))
        dtype = np.dtype(getattr(element, "dtype", object))
        if len(shape) == 2 and shape[:1] == (num_cells,) and dtype.kind in "fiub":
            found[key] = element
        else:
            left_out.append(key)
    return found, left_out


def _square(store: Any, key: str) -> sp.csr_array:
    return sp.csr_array(read_elem(store["obsp"][key]))
