"""Counts in any type of number come back as they are, from every reader."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from bionemo.geneformer_t.counts.formats import MatrixChoice, open_input
from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.counts.join_inputs import read_inputs
from bionemo.geneformer_t.data.cell_store import CellStore

TYPES = ["<f2", ">f4", ">f8", ">i2", ">i4", ">u8"]
COUNTS = np.array([[3, 0, 1, 2047], [0, 5, 1, 0], [2, 2, 0, 7]])
LAYOUTS = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}
OBS, VAR = pd.DataFrame(index=list("abc")), pd.DataFrame(index=list("wxyz"))


def retyped(group: Any, name: str, dtype: str) -> None:
    """The same values in another type; indices and pointers in its byte order."""
    if isinstance(group[name], h5py.Group):
        for part in ("data", "indices", "indptr"):
            values = group[name][part][:]
            order = dtype[0] if part != "data" else ""
            del group[name][part]
            group[name][part] = values.astype(f"{order}i4" if order else dtype)
        return
    values, attributes = group[name][:], dict(group[name].attrs)
    del group[name]
    group[name] = values.astype(dtype)
    group[name].attrs.update(attributes)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("layer", [None, "counts"])
def test_h5ad_and_its_conversion(
    tmp_path: Path, dtype: str, layout: str, layer: str | None
) -> None:
    path = tmp_path / "data.h5ad"
    matrix = LAYOUTS[layout](COUNTS.astype(np.float32))
    anndata.AnnData(matrix, obs=OBS, var=VAR, layers={"counts": matrix}).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        retyped(file["layers"] if layer else file, layer or "X", dtype)
    with ExitStack() as stack:
        cells = read_inputs([path], tmp_path / "scratch", stack, choice=MatrixChoice(layer=layer))
        np.testing.assert_array_equal(cells.counts.rows(0, 3).toarray(), COUNTS)
    if layer is None:
        store = CellStore.open(tmp_path, tmp_path / "cache")
        assert [store.row(cell)[0].tolist() for cell in range(3)] == [
            [3, 1, 2047],
            [5, 1],
            [2, 2, 7],
        ]


@pytest.mark.parametrize("dtype", TYPES)
def test_loom(tmp_path: Path, dtype: str) -> None:
    with h5py.File(tmp_path / "a.loom", "w") as file:
        file["matrix"], file["layers/spliced"] = COUNTS.T.astype(dtype), COUNTS.T.astype(dtype)
        file["row_attrs/Gene"], file["col_attrs/CellID"] = list("wxyz"), list("abc")
        file["col_attrs/depth"] = np.arange(3, dtype=dtype)
    for layer in (None, "spliced"):
        with open_input(tmp_path / "a.loom", MatrixChoice(layer=layer)) as opened:
            (block,) = opened.counts.blocks()
            np.testing.assert_array_equal(block.counts.toarray(), COUNTS)
            assert opened.obs["depth"].sort_values().tolist() == [0, 1, 2]


@pytest.mark.filterwarnings("ignore:.*[zZ]arr")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", ["csr", "dense"])
def test_zarr(tmp_path: Path, dtype: str, layout: str) -> None:
    path = tmp_path / "a.zarr"
    matrix = LAYOUTS[layout](COUNTS.astype(np.float32))
    anndata.AnnData(matrix, obs=OBS, var=VAR).write_zarr(path)
    group = zarr.open_group(str(path), mode="r+", use_consolidated=False)
    name = "X" if layout == "dense" else "X/data"
    values, attributes = group[name][...], dict(group[name].attrs)
    del group[name]
    group.create_array(name, data=values.astype(dtype)).attrs.update(attributes)
    with open_input(path) as opened:
        (block,) = opened.counts.blocks()
        np.testing.assert_array_equal(block.counts.toarray(), COUNTS)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cells_in_memory(dtype: str, layout: str) -> None:
    matrix = LAYOUTS[layout](COUNTS.astype(np.float32))
    if layout == "dense":
        matrix = matrix.astype(dtype)
    else:
        matrix.data = matrix.data.astype(dtype)
    cells = anndata.AnnData(obs=OBS, var=VAR)
    cells.layers["counts"] = matrix
    (block,) = anndata_source(cells, "counts").blocks()
    np.testing.assert_array_equal(block.counts.toarray(), COUNTS)
    held = cells.layers["counts"]
    assert (held.data if layout != "dense" else held).dtype == np.dtype(dtype)


def test_counts_that_16_bit_floats_round_are_refused(tmp_path: Path) -> None:
    counts = COUNTS.copy()
    counts[0, 0] = 2051
    anndata.AnnData(counts.astype(np.float32), obs=OBS, var=VAR).write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        retyped(file, "X", "<f2")
    with (
        open_input(tmp_path / "a.h5ad") as opened,
        pytest.raises(
            ValueError,
            match=r"a count of 2052 is beyond 2,048, the largest that is kept exactly in",
        ),
    ):
        list(opened.counts.blocks())
