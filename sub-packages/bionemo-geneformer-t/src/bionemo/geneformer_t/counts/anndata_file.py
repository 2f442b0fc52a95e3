"""Opens .h5ad files and .zarr folders: two stores of the same groups."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata.io import read_elem

from bionemo.geneformer_t.counts.data_frames import native_matrix, read_frame
from bionemo.geneformer_t.counts.formats import InputFile, MatrixChoice
from bionemo.geneformer_t.counts.h5ad import keys_of, store_source
from bionemo.geneformer_t.counts.hdf5 import open_hdf5
from bionemo.geneformer_t.counts.source import check_cell_ids
from bionemo.geneformer_t.counts.velocity_graph import velocity_matrices


@contextmanager
def h5ad_input(path: Path, choice: MatrixChoice) -> Iterator[InputFile]:
    """An .h5ad file.

    Raises:
        ValueError: It is truncated, leads into other files, or as `_describe` says.
    """
    with open_hdf5(path) as file:
        yield _describe(file, path, choice)


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
            cell ids stand twice.
    """
    counts, var, notes = store_source(
        store,
        path,
        layer=choice.layer,
        use_raw=choice.use_raw,
        round_counts=choice.round_counts,
        options=choice.options,
    )
    check_cell_ids(counts.cell_ids, str(path))
    obsm, left_out = _dense_arrays(store, len(counts.cell_ids))
    return InputFile(
        path=path,
        obs=read_frame(store, "obs", str(path)),
        var=var,
        counts=counts,
        obsm=obsm,
        obsp={
            **velocity_matrices(store, len(counts.cell_ids)),
            **{key: partial(_square, store, key) for key in keys_of(store, "obsp")},
        },
        notes=notes,
        left_out=tuple(f"{path}: obsm[{key!r}] is no dense array; left out" for key in left_out),
    )


def _dense_arrays(store: Any, num_cells: int) -> tuple[Mapping[str, Any], list[str]]:
    """The arrays of obsm with numbers for each cell, and the names of what is something else."""
    found, left_out = {}, []
    for key in keys_of(store, "obsm"):
        element = store["obsm"][key]
        shape = tuple(getattr(element, "shape", ()))
        dtype = np.dtype(getattr(element, "dtype", object))
        if len(shape) == 2 and shape[:1] == (num_cells,) and dtype.kind in "fiub":
            found[key] = element
        else:
            left_out.append(key)
    return found, left_out


def _square(store: Any, key: str) -> sp.csr_array:
    return native_matrix(read_elem(store["obsp"][key]))
