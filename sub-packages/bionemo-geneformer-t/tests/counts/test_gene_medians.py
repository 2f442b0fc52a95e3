"""Medians are Geneformer's: over cells, of each gene's non-zero scaled counts."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.counts.gene_medians import gene_medians


def test_they_equal_a_gene_by_gene_computation() -> None:
    counts = np.random.default_rng(0).poisson(0.7, size=(31, 20)).astype(np.float32)
    counts[:, 3] = 0
    counts[5] = 0
    medians = gene_medians(sp.csr_matrix(counts), target_sum=1000.0)
    for gene in range(20):
        scaled = [
            count / cell.sum() * 1000 for cell in counts if (count := cell[gene]) > 0
        ]  # fmt: skip
        if scaled:
            assert medians[gene] == pytest.approx(np.median(scaled), rel=1e-6)
        else:
            assert np.isnan(medians[gene])


def test_stored_zeros_are_no_expression() -> None:
    counts = sp.csr_matrix((np.array([0.0, 4.0]), ([0, 1], [0, 0])), shape=(2, 1))
    assert gene_medians(counts, 1.0).tolist() == [1.0]
