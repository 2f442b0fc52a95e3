"""Opens 10x .h5 files: genes x cells by columns, which are the rows of cells x genes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool
from numpy import ndarray

from bionemo.geneformer_t.data.count_source import (
    CountSource,
    check_cell_ids,
    open_h5ad,
    row_blocks,
)
from bionemo.geneformer_t.run.input_file import InputFile, refuse_layers

GENE_EXPRESSION = "Gene Expression"
"""The feature type of genes; antibodies, guides and peaks are no genes."""


@contextmanager
def tenx_h5_input(path: Path, *, layer: str | None, use_raw: bool) -> Iterator[InputFile]:
    """A matrix that Cell Ranger wrote, version 2 (one genome) or 3 and later.

    Raises:
        KeyError: A layer or raw was asked for.
        ValueError: It is no such file, holds several genomes, or cell ids stand twice.
    """
    refuse_layers(path, layer=layer, use_raw=use_raw, kind="a 10x file")
    with open_h5ad(path) as file:
        group = _matrix_group(file, path)
        cell_ids = _strings(group["barcodes"])
        var, is_gene = gene_features(*_features(group))
        check_cell_ids(cell_ids, str(path))
        yield InputFile(
            path=path,
            obs=pd.DataFrame(index=pd.Index(cell_ids, dtype=object)),
            var=var,
            counts=CountSource(
                where=f"{path}: its matrix",
                cell_ids=cell_ids,
                gene_names=tuple(var.index),
                gene_symbols=tuple(var.index),
                raw_blocks=lambda: _blocks(group, len(cell_ids), is_gene),
            ),
            notes=other_features(path, is_gene),
        )


def gene_features(
    ids: tuple[str, ...], symbols: tuple[str, ...], kinds: tuple[str, ...]
) -> tuple[pd.DataFrame, Bool[ndarray, " feature"]]:
    """`var` of the features that are genes, and which those are; all where no kind is given."""
    is_gene = np.array([kind == GENE_EXPRESSION for kind in kinds] or [True] * len(ids), dtype=bool)
    index = pd.Index(np.array(symbols, dtype=object)[is_gene], dtype=object)
    var = pd.DataFrame({"feature_id": np.array(ids, dtype=object)[is_gene]}, index=index)
    return var, is_gene


def other_features(path: Path, is_gene: Bool[ndarray, " feature"]) -> tuple[str, ...]:
    """Say how many features are no genes."""
    others = int((~is_gene).sum())
    if not others:
        return ()
    return (f"{path}: {others:,} features are not of type {GENE_EXPRESSION!r}; left out",)


def _matrix_group(file: h5py.File, path: Path) -> Any:
    groups = [
        name for name in file if isinstance(file[name], h5py.Group) and "indptr" in file[name]
    ]
    if len(groups) != 1 or "barcodes" not in file[groups[0]]:
        held = ", ".join(file) or "nothing"
        raise ValueError(
            f"{path}: expected a 10x matrix of one genome; the file holds {held}. Of several "
            "genomes, write the one you want to a file of its own"
        )
    return file[groups[0]]


def _features(group: Any) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    if "features" in group:
        features = group["features"]
        kinds = _strings(features["feature_type"]) if "feature_type" in features else ()
        return _strings(features["id"]), _strings(features["name"]), kinds
    return _strings(group["genes"]), _strings(group["gene_names"]), ()


def _blocks(
    group: Any, num_cells: int, is_gene: Bool[ndarray, " feature"]
) -> Iterator[tuple[sp.csr_array, int, int]]:
    pointers = group["indptr"][:].astype(np.int64)
    for rows in row_blocks(num_cells):
        first, last = pointers[rows.start], pointers[rows.stop]
        parts = (
            group["data"][first:last],
            group["indices"][first:last].astype(np.int64),
            pointers[rows.start : rows.stop + 1] - first,
        )
        whole = sp.csr_array(parts, shape=(rows.stop - rows.start, len(is_gene)))
        yield (whole if is_gene.all() else whole[:, is_gene]), rows.start, 0


def _strings(dataset: Any) -> tuple[str, ...]:
    return tuple(dataset.asstr()[:])
