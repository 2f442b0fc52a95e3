"""Reads the graphs of a data folder, and what is known about their cells, for the graph report.

Graphs are read as training reads them, so the report counts what training would leave out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.data.count_source import open_h5ad, row_blocks
from bionemo.geneformer_t.data.inventory import SPLITS
from bionemo.geneformer_t.data.store import H5AD, CellStore
from bionemo.geneformer_t.data.successors import read_successors, successor_keys
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.representation import expression_pca
from bionemo.geneformer_t.neighbors.times import time_values

ARCHIVE_KEY = "next_cell_ids"
"""What the successors of an SCDL archive, which do not record their key, are called."""
_POINTS = "X_pca"


@dataclass(frozen=True, kw_only=True)
class SplitInput:
    """One split of a data folder."""

    folder: Path
    store: CellStore
    obs: pd.DataFrame
    """Its columns; none where the split is an SCDL archive."""
    obsm: Mapping[str, ndarray]


def split_folders(data_dir: Path) -> dict[str, Path]:
    """The splits of a data folder, or the folder itself where it is one.

    Raises:
        FileNotFoundError: There is no such folder, or no cells in it.
    """
    if not data_dir.is_dir():
        raise FileNotFoundError(f"data_dir: expected a data folder at {data_dir}; there is none")
    found = {name: data_dir / name for name in SPLITS if (data_dir / name).is_dir()}
    if found:
        return found
    if (data_dir / H5AD).is_file():
        return {data_dir.resolve().name: data_dir}
    held = ", ".join(sorted(child.name for child in data_dir.iterdir())) or "nothing"
    raise FileNotFoundError(
        f"data_dir: expected folders {', '.join(SPLITS)}, or {H5AD}, in {data_dir}; it holds {held}"
    )


def read_split(folder: Path) -> SplitInput:
    """The cells of a split with their annotations."""
    store = CellStore.open(folder)
    obs, obsm = pd.DataFrame(index=pd.Index(store.cell_ids)), {}
    if (folder / H5AD).is_file():
        with open_h5ad(folder / H5AD) as file:
            obs = read_elem(file["obs"])
            obsm = {key: read_elem(value) for key, value in file.get("obsm", {}).items()}
    arrays = {key: value for key, value in obsm.items() if isinstance(value, ndarray)}
    return SplitInput(folder=folder, store=store, obs=obs, obsm=arrays)


def read_graphs(
    split: SplitInput, keys: Sequence[str] | None
) -> tuple[dict[str, NeighborGraph], dict[str, dict[str, int]]]:
    """The graphs of a split and what was left out of each, by key.

    Args:
        split: Where to read.
        keys: Which graphs; by default all of neighbors.json, or of obsp where there is no file.
    """
    keys = keys or successor_keys(split.folder) or (ARCHIVE_KEY,)
    read = {key: read_successors(split.folder, split.store, key) for key in keys}
    return (
        {key: graph for key, (graph, _) in read.items()},
        {key: dropped for key, (_, dropped) in read.items()},
    )


def read_times(
    splits: Mapping[str, SplitInput], time_key: str, order: Sequence[str] | None
) -> dict[str, Float[ndarray, " cell"]]:
    """The time of the cells of each split, on one scale for all.

    Raises:
        KeyError: A split has no such column.
        ValueError: The labels cannot be read as times.
    """
    columns: dict[str, Any] = {}
    for name, split in splits.items():
        if time_key not in split.obs:
            raise KeyError(
                f"time_key: obs of {split.folder} has no column {time_key!r}; it has: "
                f"{', '.join(map(str, split.obs.columns)) or 'none'}"
            )
        columns[name] = split.obs[time_key]
    if order is None and all(map(pd.api.types.is_float_dtype, columns.values())):
        return {name: column.to_numpy(dtype=np.float64) for name, column in columns.items()}
    labels = [label for column in columns.values() for label in column]
    ends = np.cumsum([len(column) for column in columns.values()])
    parts = np.split(time_values(labels, order), ends[:-1])
    return dict(zip(columns, parts, strict=True))


def representation_of(split: SplitInput, use_rep: str | None) -> Float[ndarray, "cell component"]:
    """Coordinates in which distance means difference in expression.

    Args:
        split: Its obsm, or else its counts.
        use_rep: Name in obsm; by default X_pca, or principal components of the counts.

    Raises:
        KeyError: There is no such array.
    """
    name = use_rep or _POINTS
    if name in split.obsm:
        return np.asarray(split.obsm[name], dtype=np.float32)
    if use_rep is not None:
        raise KeyError(
            f"use_rep: obsm of {split.folder} has no array {use_rep!r}; it has: "
            f"{', '.join(split.obsm) or 'none'}"
        )
    counts = sp.vstack([_rows(split.store, rows) for rows in row_blocks(len(split.store))])
    return expression_pca(sp.csr_matrix(counts), np.ones(len(split.store), dtype=bool))


def _rows(store: CellStore, rows: slice) -> sp.csr_array:
    counts, columns, pointers = store.rows(rows.start, rows.stop)
    shape = (len(pointers) - 1, len(store.gene_names))
    return sp.csr_array((counts.astype(np.float32), columns.astype(np.int64), pointers), shape)
