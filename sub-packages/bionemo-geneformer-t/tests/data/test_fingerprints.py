"""Fingerprints follow what the cells are, not how they are stored."""

import shutil
from pathlib import Path

import anndata
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import given

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.fingerprints import (
    are_same_cells,
    cells_fingerprint,
    graph_fingerprint,
    provenance_of,
    six_digits,
)
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.vocab import GeneVocab


def fingerprint_of(split: Path) -> str:
    return cells_fingerprint(CellStore.open(split))


def test_sparse_dense_and_archived_cells_have_one_fingerprint(write_split, counts, tmp_path):
    first = write_split(counts, folder="first")
    dense = anndata.read_h5ad(first / "data.h5ad")
    dense.X = dense.X.toarray().astype(np.int32)
    (tmp_path / "dense").mkdir()
    dense.write_h5ad(tmp_path / "dense" / "data.h5ad")
    shutil.copytree(CellStore.open(first).archive, tmp_path / "archive")
    found = {fingerprint_of(tmp_path / name) for name in ("first", "dense", "archive")}
    assert len(found) == 1


def test_another_count_name_or_order_is_another_fingerprint(write_split, counts):
    changed = counts.copy()
    changed[2, 0] += 1
    ids = [f"c{i}" for i in range(len(counts))]
    found = [
        fingerprint_of(write_split(counts, folder="same")),
        fingerprint_of(write_split(changed, folder="count")),
        fingerprint_of(write_split(counts, folder="name", cell_ids=[*ids[:-1], "other"])),
        fingerprint_of(write_split(counts[::-1].copy(), folder="order", cell_ids=ids)),
        fingerprint_of(write_split(counts, folder="genes", genes=["g1", "g0", "g2", "g3"])),
    ]
    assert len(set(found)) == len(found)


def graph_of(weights: list[float]) -> NeighborGraph:
    matrix = sp.coo_array((weights, (range(len(weights)), range(1, len(weights) + 1))), (9, 9))
    return NeighborGraph.from_matrix(matrix)[0]


def test_weights_count_to_the_digits_that_files_keep():
    exact = graph_of([1 / 3, 2 / 3, 1e-7 / 3, 99999.95, 0.1])
    written = graph_of([float(f"{weight:.6g}") for weight in exact.weights])
    assert graph_fingerprint(exact) == graph_fingerprint(written)
    assert graph_fingerprint(graph_of([0.5])) != graph_fingerprint(graph_of([0.50001]))
    assert graph_fingerprint(graph_of([1, 1])) != graph_fingerprint(graph_of([1]))


@given(arrays.arrays(np.float64, 8, elements=st.floats(1e-30, 1e30)))
def test_six_digits_are_those_of_a_printed_number(weights):
    digits, exponents = six_digits(weights)
    printed = [float(f"{weight:.6g}") for weight in weights]
    assert (digits >= 100_000).all()
    assert (digits < 1_000_000).all()
    np.testing.assert_allclose(digits * 10.0**exponents, printed, rtol=2e-6)


def test_the_provenance_tells_cells_edges_key_and_seed(tiny_data_dir):
    data = TemporalGeneformerDataModule(tiny_data_dir, neighbor_key="temporal_neighbors", seed=7)
    trained = data.provenance
    assert trained == provenance_of(data.train)
    assert (trained.num_cells, trained.num_examples, trained.num_edges) == (40, 39, 77)
    assert (trained.neighbor_key, trained.seed) == ("temporal_neighbors", 7)
    assert trained.data_name == tiny_data_dir.name
    other = TemporalGeneformerDataModule(tiny_data_dir).provenance
    assert other.data_fingerprint == trained.data_fingerprint
    assert other.graph_fingerprint != trained.graph_fingerprint


def test_weights_at_the_ends_of_the_floats_have_digits_too():
    digits, powers = six_digits(np.array([1e-320, 2.5e-310, 1e-300, 1.5, 1e308]))
    assert digits.tolist() == [
        999_989,
        250_000,
        100_000,
        150_000,
        100_000,
    ]  # 1e-320 is 9.99989e-321
    assert powers.tolist() == [-326, -315, -305, -5, 303]


def test_cells_whose_genes_were_once_called_otherwise_are_the_same(write_split, counts):
    """Before columns of ids were recognised by what they hold, genes went by the index."""
    genes = [f"ENSG{i:011d}" for i in range(counts.shape[1])]
    split = write_split(counts, folder="by_hand")
    cells = anndata.read_h5ad(split / "data.h5ad")
    symbols = [f"S{i}" for i in range(counts.shape[1])]
    cells.var = pd.DataFrame({"gene_ids": genes}, index=symbols)
    cells.write_h5ad(split / "data.h5ad")
    store = CellStore.open(split)
    assert list(store.gene_names) == genes
    then = cells_fingerprint(store, symbols)
    assert then != cells_fingerprint(store)
    medians = dict.fromkeys(genes[:-1], 1.0)
    knows_both = GeneVocab.of_genes(medians, dict(zip(symbols, genes, strict=True)))
    assert are_same_cells(cells_fingerprint(store), store, knows_both)
    assert are_same_cells(then, store, knows_both)
    assert not are_same_cells("another", store, knows_both)
    crossed = GeneVocab.of_genes(medians, dict(zip(symbols, reversed(genes), strict=True)))
    assert not are_same_cells(then, store, crossed)  # other tokens: other cells
    assert not are_same_cells(then, store, GeneVocab.of_genes(medians, {}))
