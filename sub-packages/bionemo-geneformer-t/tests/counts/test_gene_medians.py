"""Medians are Geneformer's: over cells, of each gene's non-zero scaled counts."""

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bionemo.geneformer_t.counts.gene_medians import gene_medians


def in_blocks(counts: sp.csr_array, rows: int) -> Iterator[sp.csr_array]:
    for start in range(0, counts.shape[0], rows):
        yield counts[start : start + rows]


def one_by_one(counts: np.ndarray, target_sum: float) -> list[float]:
    """The median of each gene as the definition says it."""
    totals = counts.sum(axis=1)
    scale = np.divide(target_sum, totals, out=np.zeros_like(totals), where=totals > 0)
    columns = [gene[gene > 0] * scale[gene > 0] for gene in counts.T]
    return [float(np.median(scaled)) if len(scaled) else np.nan for scaled in columns]


def test_they_equal_a_gene_by_gene_computation() -> None:
    counts = np.random.default_rng(0).poisson(0.7, size=(31, 20)).astype(np.float32)
    counts[:, 3] = 0
    counts[5] = 0
    medians = gene_medians(lambda: [sp.csr_array(counts)], 20, target_sum=1000.0)
    for gene in range(20):
        scaled = [
            count / cell.sum() * 1000 for cell in counts if (count := cell[gene]) > 0
        ]  # fmt: skip
        if scaled:
            assert medians[gene] == pytest.approx(np.median(scaled), rel=1e-6)
        else:
            assert np.isnan(medians[gene])


def test_stored_zeros_are_no_expression() -> None:
    counts = sp.csr_array((np.array([0.0, 4.0]), ([0, 1], [0, 0])), shape=(2, 1))
    assert gene_medians(lambda: [counts], 1, 1.0).tolist() == [1.0]


@settings(max_examples=30, deadline=None)
@given(
    num_cells=st.integers(1, 40),
    level=st.floats(0.05, 300),
    rows=st.integers(1, 50),
    most_values=st.integers(1, 200),
    seed=st.integers(0, 99),
)
def test_blocks_and_portions_change_no_bit(
    num_cells: int, level: float, rows: int, most_values: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mean = level * rng.gamma(0.3, size=(num_cells, 1)) * rng.gamma(0.3, size=7)
    counts = rng.poisson(mean).astype(np.float32)
    found = gene_medians(lambda: in_blocks(sp.csr_array(counts), rows), 7, 1000.0, most_values)
    np.testing.assert_array_equal(found, one_by_one(counts.astype(np.float64), 1000.0))


@pytest.mark.parametrize("num_cells", [0, 3])
def test_cells_without_counts_give_no_medians(num_cells: int) -> None:
    counts = sp.csr_array((num_cells, 2), dtype=np.float32)
    assert np.isnan(gene_medians(lambda: in_blocks(counts, 2), 2)).all()
