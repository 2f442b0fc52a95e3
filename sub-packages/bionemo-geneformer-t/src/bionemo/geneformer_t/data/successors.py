"""Successors of the cells of a split, from neighbors.json, obsp or an SCDL archive."""

import logging
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.counts.data_frames import native_matrix
from bionemo.geneformer_t.counts.hdf5 import open_hdf5
from bionemo.geneformer_t.counts.scdl import neighbor_matrix
from bionemo.geneformer_t.data.cell_store import H5AD, CellStore
from bionemo.geneformer_t.dictionaries import read_json
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.some_names import some_names

logger = logging.getLogger(__name__)

NEIGHBORS = "neighbors.json"
ANY_KEY = "neighbors"
"""The key of neighbors.json that is used if the wanted key does not exist."""


def read_successors(
    split_dir: Path, store: CellStore, neighbor_key: str
) -> tuple[NeighborGraph, dict[str, int]]:
    """The successors of each cell under a key.

    The first of these that exists is taken: the key in neighbors.json, the key in obsp of
    data.h5ad, the key `neighbors` in neighbors.json, the neighbors of an SCDL archive (which do
    not record their key).

    Returns:
        The graph, and how many edges were left out for which reason.

    Raises:
        KeyError: No successors under that key; lists the keys that exist.
        ValueError: A file is damaged, an id is no cell of the split, or a weight is negative or
            not finite; names the place.
    """
    json_path, h5ad_path = split_dir / NEIGHBORS, split_dir / H5AD
    in_json = _read_neighbors(json_path) if json_path.is_file() else {}
    if neighbor_key in in_json:
        return _from_json(in_json, neighbor_key, store, json_path)
    in_obsp = _obsp_keys(h5ad_path) if h5ad_path.is_file() else []
    if neighbor_key in in_obsp:
        with open_hdf5(h5ad_path) as file:
            matrix = sp.coo_array(native_matrix(read_elem(file["obsp"][neighbor_key])))
        return _from_matrix(matrix, store, f"{h5ad_path}: obsp[{neighbor_key!r}]")
    if ANY_KEY in in_json:
        return _from_json(in_json, ANY_KEY, store, json_path)
    stored = neighbor_matrix(store.archive)
    if stored is not None:
        return _from_matrix(sp.coo_array(stored), store, f"neighbors of {store.archive}")
    raise KeyError(
        f"no successors under key {neighbor_key!r} in {split_dir}: {NEIGHBORS} "
        f"{_held(in_json, json_path)}, obsp of {H5AD} {_held(in_obsp, h5ad_path)}. Set "
        "neighbor_key to a key that exists, or write successors under this one"
    )


def successor_keys(split_dir: Path) -> tuple[str, ...]:
    """The keys under which a split has successors: those of neighbors.json, else those of obsp.

    None where the successors are those of an SCDL archive, which serve every key.
    """
    json_path, h5ad_path = split_dir / NEIGHBORS, split_dir / H5AD
    if json_path.is_file():
        return tuple(_read_neighbors(json_path))
    return tuple(_obsp_keys(h5ad_path)) if h5ad_path.is_file() else ()


def _read_neighbors(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} must hold {{key: {{cell id: [cell ids]}}}}; got a {type(content).__name__}"
        )
    return content


def _obsp_keys(path: Path) -> list[str]:
    with open_hdf5(path) as file:
        group = file.get("obsp")
        return sorted(group) if isinstance(group, h5py.Group) else []


def _held(keys: Mapping[str, Any] | list[str], path: Path) -> str:
    if not path.is_file():
        return "does not exist"
    return f"holds {some_names(keys)}" if keys else "holds none"


def _from_matrix(
    matrix: sp.coo_array, store: CellStore, place: str
) -> tuple[NeighborGraph, dict[str, int]]:
    if matrix.shape != (store.num_cells, store.num_cells):
        raise ValueError(
            f"{place} has shape {matrix.shape}; expected cells x cells, {store.num_cells:,} each"
        )
    return _graph(matrix.row, matrix.col, matrix.data, store, place)


def _from_json(
    content: dict[str, Any], key: str, store: CellStore, path: Path
) -> tuple[NeighborGraph, dict[str, int]]:
    place = f"{path}: {key!r}"
    successors = content[key]
    if not isinstance(successors, dict):
        raise ValueError(
            f"{place} must map each cell id to its successors; got a {type(successors).__name__}"
        )
    for cell, listed in successors.items():
        if not isinstance(listed, list | dict):
            raise ValueError(
                f"{place}: the successors of {cell!r} must be a list of cell ids, or map them to "
                f"weights; got {listed!r}"
            )
    names = list(chain.from_iterable(successors.values()))
    if any(kind is not str for kind in set(map(type, names))):
        cell, odd = next(
            (c, s) for c, all_ in successors.items() for s in all_ if type(s) is not str
        )
        raise ValueError(f"{place}: successors are cell ids in quotes; {cell!r} has {odd!r}")
    index = pd.Index(store.cell_ids)
    rows = index.get_indexer(pd.Index(list(successors), dtype=object))
    columns = index.get_indexer(pd.Index(names, dtype=object))
    _refuse_unknown(list(successors), rows, "cells", place)
    _refuse_unknown(names, columns, "successors", place)
    lengths = np.fromiter(map(len, successors.values()), dtype=np.int64, count=len(successors))
    weights = _json_weights(successors, place)
    return _graph(np.repeat(rows, lengths), columns, weights, store, place)


def _json_weights(successors: dict[str, Any], place: str) -> Float[ndarray, " edge"]:
    """The weights of `{id: weight}`, and 1 for each id of a list."""
    weights: list[Any] = []
    for listed in successors.values():
        weights.extend(listed.values() if isinstance(listed, dict) else [1.0] * len(listed))
    if not set(map(type, weights)) <= {int, float}:
        cell, id_, odd = next(
            (cell, id_, weight)
            for cell, listed in successors.items() if isinstance(listed, dict)
            for id_, weight in listed.items() if type(weight) not in {int, float}
        )  # fmt: skip
        raise ValueError(f"{place}: weights are numbers; successor {id_!r} of {cell!r} has {odd!r}")
    try:
        return np.array(weights, dtype=np.float64)
    except OverflowError as error:
        raise ValueError(
            f"{place}: weights must be finite; one has more than 308 digits"
        ) from error


def _refuse_unknown(names: list[str], found: Int[ndarray, " name"], what: str, place: str) -> None:
    unknown = Counter(names[i] for i in np.flatnonzero(found < 0))
    if unknown:
        shown = some_names(map(repr, unknown))
        raise ValueError(
            f"{place} names {len(unknown):,} {what} that are no cells of this split ({shown}). "
            "Ids must be obs_names of the split's own data.h5ad"
        )


def _graph(
    rows: Int[ndarray, " edge"],
    columns: Int[ndarray, " edge"],
    weights: ndarray,
    store: CellStore,
    place: str,
) -> tuple[NeighborGraph, dict[str, int]]:
    """Drop what is no successor, and count it."""
    size = store.num_cells
    edges = rows.astype(np.int64) * size + columns
    if len(edges) > 1 and not (np.diff(edges) > 0).all():
        edges, first = np.unique(edges, return_index=True)
        duplicates = len(weights) - len(first)
        rows, columns, weights = rows[first], columns[first], weights[first]
    else:
        duplicates = 0
    matrix = sp.coo_array((weights, (rows, columns)), shape=(size, size))
    try:
        graph, dropped = NeighborGraph.from_matrix(matrix)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    logger.debug("successors come from %s", place)
    return graph, {"duplicate": duplicates, **dropped}
