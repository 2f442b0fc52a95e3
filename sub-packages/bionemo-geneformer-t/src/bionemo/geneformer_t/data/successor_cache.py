"""Successors kept as mapped arrays, so that large files of JSON are parsed once, by one process."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np

from bionemo.geneformer_t.data.cache import find_or_build, fingerprint
from bionemo.geneformer_t.data.store import CellStore
from bionemo.geneformer_t.data.successors import NEIGHBORS, read_successors
from bionemo.geneformer_t.graph import NeighborGraph

_FORMAT = ("geneformer-t successors", 2)
_NAMES = tuple(field.name for field in fields(NeighborGraph))
_DROPPED = "dropped.json"


def cached_successors(
    split_dir: Path, store: CellStore, neighbor_key: str
) -> tuple[NeighborGraph, dict[str, int]]:
    """What `read_successors` returns, kept in the store's cache folder where that is possible."""

    def build(folder: Path) -> None:
        graph, dropped = read_successors(split_dir, store, neighbor_key)
        for name in _NAMES:
            np.save(folder / f"{name}.npy", getattr(graph, name))
        (folder / _DROPPED).write_text(json.dumps(dropped), encoding="utf-8")

    json_path = split_dir / NEIGHBORS
    files = [json_path] if json_path.is_file() else []
    name = f"successors-{fingerprint(files, _FORMAT, store.path.name, neighbor_key)}"
    try:
        folder = find_or_build(name, [store.path], build)
    except PermissionError:
        return read_successors(split_dir, store, neighbor_key)
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _NAMES}
    graph = NeighborGraph(**{name: np.asarray(array) for name, array in arrays.items()})
    return graph, json.loads((folder / _DROPPED).read_text(encoding="utf-8"))
