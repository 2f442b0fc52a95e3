"""Medians of a stream are those of the whole matrix, bit for bit."""

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bionemo.geneformer_t.counts.gene_medians import gene_medians
from bionemo.geneformer_t.counts.streamed_medians import streamed_medians


def in_blocks(counts: sp.csr_array, rows: int) -> Iterator[sp.csr_array]:
    for start in range(0, counts.shape[0], rows):
        yield counts[start : start + rows]


@settings(max_examples=30, deadline=None)
@given(
    num_cells=st.integers(1, 40),
    level=st.floats(0.05, 300),
    rows=st.integers(1, 50),
    most_values=st.integers(1, 200),
    seed=st.integers(0, 99),
)
def test_they_are_those_of_the_whole_matrix(
    num_cells: int, level: float, rows: int, most_values: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mean = level * rng.gamma(0.3, size=(num_cells, 1)) * rng.gamma(0.3, size=7)
    counts = sp.csr_array(rng.poisson(mean).astype(np.float32))
    expected = gene_medians(sp.csr_matrix(counts), 1000.0)
    streamed = streamed_medians(lambda: in_blocks(counts, rows), 7, 1000.0, most_values)
    np.testing.assert_array_equal(streamed, expected)


@pytest.mark.parametrize("num_cells", [0, 3])
def test_cells_without_counts_give_no_medians(num_cells: int) -> None:
    counts = sp.csr_array((num_cells, 2), dtype=np.float32)
    assert np.isnan(streamed_medians(lambda: in_blocks(counts, 2), 2)).all()
