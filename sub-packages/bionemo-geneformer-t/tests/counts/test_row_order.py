"""Values in any order become whole rows, as often as they are read."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bionemo.geneformer_t.counts.gene_names import GeneNames
from bionemo.geneformer_t.counts.h5ad import h5ad_source
from bionemo.geneformer_t.counts.row_order import row_wise
from bionemo.geneformer_t.counts.source import CountSource


def whole(source) -> np.ndarray:
    matrix = np.zeros(source.shape)
    for block in source.blocks():
        rows, columns = block.counts.shape
        here = (
            slice(block.first_row, block.first_row + rows),
            slice(block.first_column, block.first_column + columns),
        )
        matrix[here] += block.counts.toarray()
    return matrix


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    num_cells=st.integers(1, 30),
    num_genes=st.integers(1, 9),
    num_values=st.integers(0, 10**9),
    seed=st.integers(0, 99),
)
def test_values_in_any_order_become_rows(
    tmp_path_factory: pytest.TempPathFactory,
    num_cells: int,
    num_genes: int,
    num_values: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    counts = sp.csr_array(rng.poisson(0.4, (num_cells, num_genes)).astype(np.float32))
    tall, wide = int(rng.integers(0, num_cells)), int(rng.integers(0, num_genes))
    corners = [(0, 0), (0, wide), (tall, 0), (tall, wide)]
    ends = [(tall, wide), (tall, num_genes), (num_cells, wide), (num_cells, num_genes)]
    blocks = [(counts[r:s, c:d], r, c) for (r, c), (s, d) in zip(corners, ends, strict=True)]
    shuffled = [blocks[i] for i in rng.permutation(4)]
    source = CountSource(
        where="the test",
        cell_ids=tuple(f"c{i}" for i in range(num_cells)),
        genes=GeneNames.of([f"g{i}" for i in range(num_genes)]),
        raw_blocks=lambda: iter(shuffled),
        by_rows=False,
        num_values=num_values,
    )
    folder = tmp_path_factory.mktemp("piles")
    with row_wise(source, folder) as rows:
        for _ in range(2):
            found = list(rows.blocks())
            stops = np.cumsum([block.counts.shape[0] for block in found])
            assert [block.first_row for block in found] == [0, *stops[:-1]]
            assert {block.counts.shape[1] for block in found} == {num_genes}
            whole_rows = sp.vstack([block.counts for block in found], format="csr")
            assert (whole_rows.toarray() == counts.toarray()).all()
            assert whole_rows.has_sorted_indices
    assert not list(folder.iterdir())


def test_columns_are_turned_into_rows_without_loading_them_all(write_split, counts, monkeypatch):
    monkeypatch.setattr("bionemo.geneformer_t.counts.stored_matrix._VALUES_OF_COLUMNS", 5)
    split = write_split()
    cells = anndata.read_h5ad(split / "data.h5ad")
    cells.X = cells.X.tocsc()
    cells.write_h5ad(split / "data.h5ad")
    with h5ad_source(split / "data.h5ad") as by_columns:
        assert next(by_columns.blocks()).counts.shape == (5, 1)
        with row_wise(by_columns) as rows:
            assert next(rows.blocks()).counts.shape == (5, 4)
            assert rows.gene_names == by_columns.gene_names
            np.testing.assert_array_equal(whole(rows), counts)


def test_rows_are_passed_through(write_split):
    with h5ad_source(write_split() / "data.h5ad") as source, row_wise(source) as rows:
        assert rows is source
