"""Opens 10x .h5 files: genes x cells by columns, which are the rows of cells x genes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from bionemo.geneformer_t.counts.formats import InputFile, MatrixChoice, counts_of
from bionemo.geneformer_t.counts.hdf5 import open_hdf5
from bionemo.geneformer_t.counts.stored_matrix import StoredMatrix


@contextmanager
def tenx_h5_input(path: Path, choice: MatrixChoice) -> Iterator[InputFile]:
    """A matrix that Cell Ranger wrote, version 2 (one genome) or 3 and later.

    Raises:
        KeyError: A layer or raw was asked for.
        ValueError: It is no such file, holds several genomes, or cell ids stand twice.
    """
    choice.refuse_for(path, "a 10x file")
    with open_hdf5(path) as file:
        group = _matrix_group(file, path)
        cell_ids = _strings(group["barcodes"])
        features = _features(group)
        matrix = StoredMatrix(
            path=path,
            name="its matrix",
            layout="csr",
            shape=(len(cell_ids), len(features)),
            element=group,
        )
        counts, var, notes = counts_of(path, matrix.name, cell_ids, features, choice, matrix.blocks)
        yield InputFile(
            path=path,
            obs=pd.DataFrame(index=pd.Index(cell_ids, dtype=object)),
            var=var,
            counts=counts,
            notes=notes,
        )


def feature_frame(
    ids: tuple[str, ...], symbols: tuple[str, ...], kinds: tuple[str, ...]
) -> pd.DataFrame:
    """`var` of all features: symbols as index, ids, and types where they are given."""
    var = pd.DataFrame(
        {"feature_id": np.array(ids, dtype=object)}, index=pd.Index(symbols, dtype=object)
    )
    return var.assign(feature_types=np.array(kinds, dtype=object)) if kinds else var


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


def _features(group: Any) -> pd.DataFrame:
    if "features" in group:
        features = group["features"]
        kinds = _strings(features["feature_type"]) if "feature_type" in features else ()
        frame = feature_frame(_strings(features["id"]), _strings(features["name"]), kinds)
        return frame.assign(genome=_strings(features["genome"])) if "genome" in features else frame
    return feature_frame(_strings(group["genes"]), _strings(group["gene_names"]), ())


def _strings(dataset: Any) -> tuple[str, ...]:
    return tuple(dataset.asstr()[:])
