"""Opens .loom files: an HDF5 matrix of genes x cells with attributes of both.

Read with h5py in slabs of cells; loompy is not needed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from bionemo.geneformer_t.data.count_source import CountSource, check_cell_ids, open_h5ad
from bionemo.geneformer_t.run.input_file import InputFile

CELL_NAMES = ("CellID", "obs_names", "cell_names", "Cell_ID")
GENE_NAMES = ("Gene", "var_names", "gene_names", "GeneName")
GENE_IDS = ("Accession", "feature_id", "ensembl_id", "gene_ids")
_VALUES = 1 << 22


@contextmanager
def loom_input(path: Path, *, layer: str | None, use_raw: bool) -> Iterator[InputFile]:
    """A .loom file.

    Raises:
        KeyError: No such layer; or raw, which .loom does not have.
        ValueError: It is damaged, does not name its cells or genes, or cell ids stand twice.
    """
    if use_raw:
        raise KeyError(f"{path} holds no raw: .loom has layers only; leave use_raw out")
    with open_h5ad(path) as file:
        for name in ("matrix", "row_attrs", "col_attrs"):
            if name not in file:
                raise ValueError(f"{path} holds no {name!r}, which every .loom file has")
        layers = sorted(file["layers"]) if "layers" in file else []
        if layer is not None and layer not in layers:
            held = ", ".join(layers) or "none"
            raise KeyError(f"{path} holds no layer {layer!r}; it holds: {held}")
        matrix = file["matrix"] if layer is None else file["layers"][layer]
        obs = _frame(file["col_attrs"], CELL_NAMES, path, "cells")
        var = _frame(file["row_attrs"], GENE_NAMES, path, "genes")
        named = next((name for name in GENE_IDS if name in var), None)
        if named is not None:
            var["feature_id"] = var[named].astype(str)
        cell_ids = tuple(obs.index)
        check_cell_ids(cell_ids, str(path))
        if matrix.shape != (len(var), len(obs)):
            raise ValueError(
                f"{path}: the matrix has shape {matrix.shape}, but the attributes name {len(var)} "
                f"genes and {len(obs)} cells"
            )
        others = ", ".join(f"--layer {name}" for name in layers if name != layer)
        yield InputFile(
            path=path,
            obs=obs,
            var=var,
            counts=CountSource(
                where=f"{path}: {'its matrix' if layer is None else f'layer {layer!r}'}",
                cell_ids=cell_ids,
                gene_names=tuple(var.index),
                gene_symbols=tuple(var.index),
                raw_blocks=lambda: _blocks(matrix),
            ),
            way_out=lambda: f"This file also holds {others}" if others else "It holds no layers",
        )


def _frame(group: Any, names: tuple[str, ...], path: Path, what: str) -> pd.DataFrame:
    """The one-dimensional attributes, with the names of the cells or genes as index."""
    named = next((name for name in names if name in group), None)
    if named is None:
        raise ValueError(
            f"{path} does not name its {what}: expected an attribute {', '.join(names)}; it has "
            f"{', '.join(group) or 'none'}"
        )
    columns = {name: _values(group[name]) for name in group if group[name].ndim == 1}
    index = pd.Index(columns.pop(named), dtype=object).astype(str)
    return pd.DataFrame(columns, index=index)


def _values(dataset: Any) -> Any:
    return dataset.asstr()[:] if dataset.dtype.kind in "OS" else dataset[:]


def _blocks(matrix: Any) -> Iterator[tuple[Any, int, int]]:
    num_genes, num_cells = matrix.shape
    width = max(1, _VALUES // max(1, num_genes))
    for start in range(0, num_cells, width):
        yield matrix[:, start : start + width].T, start, 0
