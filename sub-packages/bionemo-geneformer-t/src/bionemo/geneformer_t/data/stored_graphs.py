"""Reads the graphs of a data folder, and what is known about their cells, for the graph report.

Graphs are read as training reads them, so the report counts what training would leave out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.counts.data_frames import read_frame
from bionemo.geneformer_t.counts.hdf5 import open_hdf5
from bionemo.geneformer_t.data.cell_store import H5AD, CellStore
from bionemo.geneformer_t.data.folder import SPLITS, split_folders
from bionemo.geneformer_t.data.successors import read_successors, successor_keys
from bionemo.geneformer_t.data.write_folder import RECORD
from bionemo.geneformer_t.dictionaries import read_json
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.expression_pca import fit_axes
from bionemo.geneformer_t.neighbors.pseudotime_neighbors import DIFFUSION_PSEUDOTIME, FROM_A_ROOT
from bionemo.geneformer_t.neighbors.time_labels import joined_time_values
from bionemo.geneformer_t.obs_columns import obs_column, obsm_array

ARCHIVE_KEY = "next_cell_ids"
"""What the successors of an SCDL archive, which do not record their key, are called."""
_POINTS = "X_pca"
OPTIONS = ("time_key", "time_order", "batch_key", "cluster_key", "root")
_SIMULATED = {"time_key": "pseudotime", "cluster_key": "branch", "root": "root"}
"""What `simulate` calls its columns and its first branch."""


@dataclass(frozen=True, kw_only=True)
class SplitInput:
    """One split of a data folder."""

    folder: Path
    store: CellStore
    obs: pd.DataFrame
    """Its columns; none where the split is an SCDL archive."""
    obsm: Mapping[str, ndarray]


def splits_or_one(data_dir: Path) -> dict[str, Path]:
    """The splits of a data folder, or the folder itself where it is one.

    Raises:
        FileNotFoundError: There is no such folder, or no cells in it.
    """
    if not data_dir.is_dir():
        raise FileNotFoundError(f"data_dir: expected a data folder at {data_dir}; there is none")
    if found := split_folders(data_dir):
        return found
    if (data_dir / H5AD).is_file():
        return {data_dir.resolve().name: data_dir}
    held = ", ".join(sorted(child.name for child in data_dir.iterdir())) or "nothing"
    raise FileNotFoundError(
        f"data_dir: expected folders {', '.join(SPLITS)}, or {H5AD}, in {data_dir}; it holds {held}"
    )


def read_split(store: CellStore) -> SplitInput:
    """The cells of a split with their annotations."""
    folder = store.split_dir
    if not (folder / H5AD).is_file():
        obs = pd.DataFrame(index=pd.Index(store.cell_ids))
        return SplitInput(folder=folder, store=store, obs=obs, obsm={})
    with open_hdf5(folder / H5AD) as file:
        obs = read_frame(file, "obs", str(folder / H5AD))
        obsm = {key: read_elem(value) for key, value in file.get("obsm", {}).items()}
    arrays = {key: value for key, value in obsm.items() if isinstance(value, ndarray)}
    return SplitInput(folder=folder, store=store, obs=obs, obsm=arrays)


def read_graphs(
    split: SplitInput, keys: Sequence[str] | None
) -> tuple[dict[str, NeighborGraph], dict[str, dict[str, int]]]:
    """The graphs of a split and what was left out of each, by key.

    Args:
        split: Where to read.
        keys: Which graphs; by default all of neighbors.json, or of obsp where there is no such
            file.
    """
    keys = keys or successor_keys(split.folder) or (ARCHIVE_KEY,)
    read = {key: read_successors(split.folder, split.store, key) for key in keys}
    return (
        {key: graph for key, (graph, _) in read.items()},
        {key: dropped for key, (_, dropped) in read.items()},
    )


def second_names(graphs: Sequence[Mapping[str, NeighborGraph]]) -> dict[str, str]:
    """Keys whose graph equals that of an earlier key in every split, and that key.

    Splits that hold different keys have no second names.
    """
    if any(set(of_split) != set(graphs[0]) for of_split in graphs):
        return {}
    first, *others = graphs
    found: dict[str, str] = {}
    for number, key in enumerate(first):
        for earlier in list(first)[:number]:
            same = [_are_same(of_split[key], of_split[earlier]) for of_split in (first, *others)]
            if earlier not in found and all(same):
                found[key] = earlier
                break
    return found


def recorded_options(data_dir: Path) -> dict[str, Any]:
    """What the command that made a data folder knew about columns of obs.

    Args:
        data_dir: A data folder, or one of its splits.

    Returns:
        Those of `time_key`, `time_order`, `batch_key`, `cluster_key` and `root` that are known;
        the column of a pseudotime is a `time_key` where there is no other.
    """
    places = (data_dir / RECORD, data_dir.resolve().parent / RECORD)
    record = next((path for path in places if path.is_file()), None)
    made_by = read_json(record) if record is not None else {}
    if made_by.get("command") == "simulate":
        return dict(_SIMULATED)
    settings = made_by.get("settings", {})
    options = {name: settings.get(name) for name in OPTIONS}
    options["time_key"] = options["time_key"] or settings.get("pseudotime_key")
    if options["time_key"] is None and FROM_A_ROOT & set(settings.get("method") or ()):
        options["time_key"] = DIFFUSION_PSEUDOTIME
    if options["time_order"] is not None:
        options["time_order"] = tuple(options["time_order"])
    return {name: value for name, value in options.items() if value is not None}


def read_times(
    splits: Mapping[str, SplitInput], time_key: str, order: Sequence[str] | None
) -> dict[str, Float[ndarray, " cell"]]:
    """The time of the cells of each split, on one scale for all.

    Raises:
        KeyError: A split has no such column.
        ValueError: The labels cannot be read as times.
    """
    columns = {
        name: obs_column(split.obs, time_key, "time_key", str(split.folder))
        for name, split in splits.items()
    }
    if order is None and all(map(pd.api.types.is_float_dtype, columns.values())):
        return {name: column.to_numpy(dtype=np.float64) for name, column in columns.items()}
    parts = joined_time_values(list(columns.values()), order)
    return dict(zip(columns, parts, strict=True))


def time_labels(
    split: SplitInput, time_key: str, time: Float[ndarray, " cell"]
) -> dict[float, str]:
    """The label of each time point; none where times are numbers already."""
    column = split.obs[time_key]
    if pd.api.types.is_numeric_dtype(column):
        return {}
    known = np.isfinite(time)
    return dict(zip(time[known].tolist(), column[known].astype(str), strict=True))


def representation_of(split: SplitInput, use_rep: str | None) -> Float[ndarray, "cell component"]:
    """Coordinates in which distance means difference in expression.

    Args:
        split: Its obsm, or else its counts.
        use_rep: Name in obsm; by default X_pca, or principal components of the counts.

    Raises:
        KeyError: There is no such array.
    """
    if use_rep is not None or _POINTS in split.obsm:
        points = obsm_array(split.obsm, use_rep or _POINTS, str(split.folder))
        return np.asarray(points, dtype=np.float32)
    axes = fit_axes(lambda: _blocks(split.store), len(split.store.gene_names))
    return np.concatenate([axes.project(block) for block in _blocks(split.store)])


def _are_same(one: NeighborGraph, other: NeighborGraph) -> bool:
    return (
        np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
        and np.array_equal(one.weights, other.weights)
    )


def _blocks(store: CellStore) -> Iterator[sp.csr_array]:
    for _, counts, columns, pointers in store.blocks():
        shape = (len(pointers) - 1, len(store.gene_names))
        yield sp.csr_array((counts.astype(np.float32), columns.astype(np.int64), pointers), shape)
