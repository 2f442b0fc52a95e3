"""Successors kept as mapped arrays, so that large files of JSON are parsed once, by one process."""

import json
import logging
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np

from bionemo.geneformer_t.data.cache import build_unchanged, open_or_build, own_place
from bionemo.geneformer_t.data.cell_store import H5AD, CellStore
from bionemo.geneformer_t.data.successors import NEIGHBORS, read_successors
from bionemo.geneformer_t.graph import NeighborGraph

logger = logging.getLogger(__name__)

_FORMAT = ("geneformer-t successors", 3)
_NAMES = tuple(field.name for field in fields(NeighborGraph))
_DROPPED = "dropped.json"


def cached_successors(
    split_dir: Path, store: CellStore, neighbor_key: str
) -> tuple[NeighborGraph, dict[str, int]]:
    """What `read_successors` returns, kept in the store's cache folder where that is possible."""
    files = [file for name in (NEIGHBORS, H5AD) if (file := split_dir / name).is_file()]
    name, build = build_unchanged(
        files,
        _FORMAT,
        store.path.name,
        neighbor_key,
        memory=(store.path, *own_place()),
        build=partial(_build, split_dir, store, neighbor_key),
    )
    try:
        return open_or_build(f"successors-{name}", [store.path], build, _opened)
    except OSError as error:
        logger.warning(
            "successors cannot be kept in %s (%s); they are read each time", store.path,
            error.strerror or error,
        )  # fmt: skip
        return read_successors(split_dir, store, neighbor_key)


def _build(split_dir: Path, store: CellStore, neighbor_key: str, folder: Path) -> None:
    graph, dropped = read_successors(split_dir, store, neighbor_key)
    for name in _NAMES:
        np.save(folder / f"{name}.npy", getattr(graph, name))
    (folder / _DROPPED).write_text(json.dumps(dropped), encoding="utf-8")


def _opened(folder: Path) -> tuple[NeighborGraph, dict[str, int]]:
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _NAMES}
    graph = NeighborGraph(**{name: np.asarray(array) for name, array in arrays.items()})
    return graph, json.loads((folder / _DROPPED).read_text(encoding="utf-8"))
