"""One gene per rank, no gene twice, and the best such assignment."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.model.decoding import most_probable_genes


def assign_genes(log_probs: np.ndarray) -> np.ndarray:
    return most_probable_genes(torch.from_numpy(log_probs)[None])[0].numpy()


@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_the_assignment_is_the_most_probable_one(ranks, extra, seed):
    log_probs = np.random.default_rng(seed).normal(size=(ranks, ranks + extra))
    chosen = assign_genes(log_probs)
    assert len(set(chosen)) == ranks
    best = max(
        log_probs[np.arange(ranks), genes].sum()
        for genes in permutations(range(ranks + extra), ranks)
    )
    np.testing.assert_allclose(log_probs[np.arange(ranks), chosen].sum(), best)


def test_two_ranks_that_want_the_same_gene_do_not_both_get_it():
    log_probs = np.log(np.array([[0.9, 0.05, 0.05], [0.6, 0.3, 0.1]]))
    assert assign_genes(log_probs).tolist() == [0, 1]


def test_every_cell_is_assigned_on_its_own():
    log_probs = np.random.default_rng(0).normal(size=(3, 4, 9))
    together = most_probable_genes(torch.from_numpy(log_probs))
    for cell, found in zip(log_probs, together, strict=True):
        assert found.tolist() == assign_genes(cell).tolist()


def test_more_ranks_than_genes_are_refused():
    with pytest.raises(ValueError, match="4 ranks with 3 genes"):
        assign_genes(np.zeros((4, 3)))
