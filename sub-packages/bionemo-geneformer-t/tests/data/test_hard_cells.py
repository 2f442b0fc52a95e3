"""Any cells in any layout: every count comes back, in CellStore and in `prepare`, or is refused."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from refusals import result_or_refusal

from bionemo.geneformer_t.counts.checks import NotCountsError
from bionemo.geneformer_t.counts.gene_names import is_missing_name
from bionemo.geneformer_t.counts.join_inputs import read_inputs
from bionemo.geneformer_t.data.cell_store import CellStore

SOME = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
LAYOUTS = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}
TYPES = ["float32", "float64", "int16", "int32", "int64", "uint8", "uint32"]
VALUES = [1.0, 0.5, -1.0, np.nan, np.inf, 2.0**25]
# HDF5 ends names at a zero byte
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def write(path, matrix, cells, genes, **columns):
    obs = pd.DataFrame(columns, index=pd.Index(cells, dtype=object))
    var = pd.DataFrame(index=pd.Index(genes, dtype=object))
    anndata.AnnData(matrix, obs=obs, var=var).write_h5ad(path)
    return path


def opened(path):
    """Cells, genes and dense counts as the training reads them."""
    store = CellStore.open(path.parent, path.parent / "cache")
    dense = np.zeros((store.num_cells, len(store.gene_names)))
    for cell in range(store.num_cells):
        values, columns = store.row(cell)
        dense[cell, columns] = values
    return store.cell_ids, store.gene_names, dense


def prepared(path):
    """The same as `prepare` reads them."""
    with ExitStack() as stack:
        cells = read_inputs([path], path.parent / "scratch", stack)
        counts = cells.counts.rows(0, cells.counts.num_cells).toarray()
        return tuple(cells.obs.index), cells.genes, counts


@st.composite
def hard_cells(draw, names=NAMES):
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    counts = draw(hnp.arrays(np.int64, shape, elements=st.sampled_from([0, 0, 0, 1, 2, 127])))
    cells = draw(st.lists(names, min_size=shape[0], max_size=shape[0], unique=True))
    named = names.filter(lambda name: not is_missing_name(name))  # others are left out
    genes = draw(st.lists(named, min_size=shape[1], max_size=shape[1], unique=True))
    return counts, cells, genes


@pytest.mark.slow
@SOME
@given(hard=hard_cells(), layout=st.sampled_from(list(LAYOUTS)), dtype=st.sampled_from(TYPES),
       kinds=st.lists(NAMES, min_size=6, max_size=6))  # fmt: skip
def test_every_count_comes_back(hard, layout, dtype, kinds):
    counts, cells, genes = hard
    kinds = pd.Categorical(kinds[: len(cells)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.h5ad"
        write(path, LAYOUTS[layout](counts.astype(dtype)), cells, genes, kind=kinds)
        names, given_genes, found = prepared(path)
        np.testing.assert_array_equal(np.array(names), np.array(cells))
        np.testing.assert_array_equal(found[:, given_genes.gene_of_column[0]], counts)
        assert found.sum() == counts.sum()
        if not counts.any():
            assert result_or_refusal(lambda: opened(path), path) is None
            return
        names, columns, found = opened(path)
        assert (names, columns) == (tuple(cells), tuple(genes))
        np.testing.assert_array_equal(found, counts)


@SOME
@given(hard=hard_cells(st.sampled_from(["a", "b", "c", "ü", "A", "nan", "1"])),
       values=st.lists(st.sampled_from(VALUES), min_size=1))  # fmt: skip
@pytest.mark.slow
def test_values_that_are_no_counts_are_refused(hard, values):
    counts, cells, genes = hard
    counts = counts.astype(np.float64)
    places = np.arange(min(len(values), counts.size))
    counts.ravel()[places] = values[: len(places)]
    is_wrong = any(value != 1 for value in values[: len(places)])
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "data.h5ad", sp.csr_matrix(counts), cells, genes)
        for read in (opened, prepared):
            assert (result_or_refusal(lambda read=read: read(path), path) is None) == is_wrong


@pytest.mark.filterwarnings("ignore:Observation names are not unique:UserWarning")
@settings(SOME, max_examples=10)
@given(cells=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6))
def test_a_cell_id_that_stands_twice_is_refused(cells):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "data.h5ad", np.ones((len(cells), 2)), cells, ["g", "h"])
        for read in (opened, prepared):
            found = result_or_refusal(lambda read=read: read(path), path)
            assert (found is None) == (len(set(cells)) < len(cells))


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
def test_a_gene_that_stands_twice_keeps_its_counts(tmp_path):
    path = write(tmp_path / "data.h5ad", np.array([[1.0, 2.0, 4.0]]), ["c"], ["g", "h", "g"])
    assert opened(path)[2].tolist() == [[1, 2, 4]]
    _, genes, counts = prepared(path)
    assert genes.names == ("g", "h")
    assert counts.tolist() == [[5, 2]]


@pytest.mark.slow
def test_very_many_genes_come_back(tmp_path):
    counts = np.zeros((2, 60_000))
    counts[0, [0, 59_999]] = counts[1, 32_768] = 3
    genes = [f"g{i}" for i in range(60_000)]
    path = write(tmp_path / "data.h5ad", sp.csr_matrix(counts), ["c", "d"], genes)
    np.testing.assert_array_equal(opened(path)[2], counts)
    np.testing.assert_array_equal(prepared(path)[2], counts)


def damaged(path, **arrays):
    """A file of 2 x 3 counts with some arrays of its matrix replaced."""
    write(path, sp.csr_matrix(np.array([[1.0, 0, 2], [0, 3, 0]])), ["c", "d"], ["g", "h", "i"])
    with h5py.File(path, "r+") as file:
        for name, values in arrays.items():
            del file["X"][name]
            file["X"][name] = np.array(values)
    return path


@pytest.mark.parametrize("read", [opened, prepared])
@pytest.mark.parametrize(
    "arrays",
    [
        {"indices": [0, 7, 1]},
        {"indices": [0, -1, 1]},
        {"indices": [0, 2]},
        {"data": [1.0, 2.0]},
        {"indptr": [0, 2]},
        {"indptr": [0, 2, 9]},
        {"indptr": [0, 9, 3]},
        {"indptr": [1, 2, 3]},
    ],
    ids=str,
)
def test_a_matrix_whose_arrays_do_not_fit_is_refused(tmp_path, arrays, read):
    path = damaged(tmp_path / "data.h5ad", **arrays)
    assert result_or_refusal(lambda: read(path), path) is None


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_parts_of_a_count_do_not_overflow(tmp_path, dtype):
    parts = sp.csr_matrix(
        (np.array([100, 100, 100], dtype=dtype), np.array([1, 1, 1]), np.array([0, 3])),
        shape=(1, 2),
    )
    path = write(tmp_path / "data.h5ad", parts, ["c"], ["g", "h"])
    assert opened(path)[2].tolist() == [[0, 300]]
    assert prepared(path)[2].tolist() == [[0, 300]]


def test_a_count_that_would_not_be_kept_exactly_is_refused(tmp_path):
    path = write(tmp_path / "data.h5ad", np.array([[2**32 + 1]]), ["c"], ["g"])
    for read in (opened, prepared):
        with pytest.raises(NotCountsError, match=r"data\.h5ad: X: a count of .* is beyond"):
            read(path)
