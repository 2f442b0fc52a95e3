"""Dispersions are scanpy's, whatever the blocks."""

import anndata
import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp

from bionemo.geneformer_t.neighbors.expression_pca import scaled
from bionemo.geneformer_t.neighbors.variable_genes import (
    gene_moments,
    normalised_dispersions,
    variable_genes,
)

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(RNG.gamma(1, 2, size=(90, 1)) * RNG.gamma(0.5, 2, size=300)).astype(np.float32)
COUNTS[:, 7] = 0
COUNTS[:, 0] += 1


@pytest.mark.slow
def test_they_are_those_of_scanpy() -> None:
    cells = anndata.AnnData(sp.csr_matrix(COUNTS))
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    expected = sc.pp.highly_variable_genes(cells, n_top_genes=50, inplace=False)
    blocks = (scaled(sp.csr_array(COUNTS[start : start + 40])) for start in (0, 40, 80))
    moments = gene_moments(blocks, COUNTS.shape[1])
    expressed = COUNTS.any(axis=0)
    np.testing.assert_allclose(
        normalised_dispersions(moments)[expressed],
        expected["dispersions_norm"].to_numpy()[expressed],
        rtol=2e-3, atol=2e-3,  # scanpy computes in 32 bits
    )  # fmt: skip
    assert (variable_genes(moments, 50) == expected["highly_variable"].to_numpy()).all()


def test_silent_genes_never_enter() -> None:
    moments = gene_moments([scaled(sp.csr_array(COUNTS))], COUNTS.shape[1])
    assert not variable_genes(moments, 299)[7]
    assert (variable_genes(moments, 300) == COUNTS.any(axis=0)).all()
