"""Estimates of deletions: exact where they are said to be, and no matter in which order."""

import numpy as np
import pytest
from small_screens import RANKS, cells_of, exact_effects, readout, small_model, values_of

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.perturbation.deletion_estimates import (
    corrected,
    deletion_estimates,
    exact_ranks,
)
from bionemo.geneformer_t.ragged import Ragged


def test_chosen_genes_are_exact_and_readouts_too() -> None:
    model = small_model()
    cells = cells_of(model)
    exact = exact_effects(model, cells)
    found = deletion_estimates(model, cells, RANKS, readout, exact_genes=4)
    np.testing.assert_allclose(found.values, values_of(model, cells), rtol=1e-12)
    assert found.genes.lengths.tolist() == [4, 10, 10, 10, 2]
    errors = np.abs(found.effects - exact).max(axis=1)
    starts = found.genes.offsets[:-1]
    at = np.concatenate(
        [
            start + exact_ranks(length, 4)
            for start, length in zip(starts, found.genes.lengths.tolist(), strict=True)
        ]
    )
    assert errors[at].max() < 1e-14
    assert np.delete(errors, at).min() > 1e-9
    everywhere = deletion_estimates(model, cells, RANKS, readout, exact_genes=200)
    np.testing.assert_allclose(everywhere.effects, exact, rtol=1e-12, atol=1e-15)


def test_the_order_of_cells_changes_no_bit_and_batches_change_rounding_alone() -> None:
    model = small_model()
    cells, order = cells_of(model), np.array([3, 0, 4, 2, 1])
    found = deletion_estimates(model, cells, RANKS, readout)
    other = deletion_estimates(model, cells.take(order), RANKS, readout)
    np.testing.assert_array_equal(other.values, found.values[order])
    per_cell = np.split(found.effects, found.genes.offsets[1:-1])
    np.testing.assert_array_equal(other.effects, np.concatenate([per_cell[i] for i in order]))
    single = deletion_estimates(model, cells, RANKS, readout, cells_at_once=1)
    np.testing.assert_allclose(single.effects, found.effects, rtol=1e-9, atol=1e-14)


def test_nothing_is_estimated_where_nothing_would_be_left() -> None:
    model, done = small_model(), []
    genes = model.required_vocab().gene_ids
    cells = Ragged.of([genes[:3], genes[:0], genes[4:5]])
    for exact_genes in (0, 8):
        found = deletion_estimates(
            model, cells, RANKS, readout, exact_genes=exact_genes, on_cells=done.append
        )
        assert np.isfinite(found.effects[:3]).all()
        assert np.isnan(found.effects[3]).all()
        assert np.isnan(found.values).all(axis=1).tolist() == [False, True, False]
    assert sum(done) == 2 * len(cells)
    with pytest.raises(ValueError, match="none of the 2 cells has a gene"):
        deletion_estimates(model, Ragged.of([genes[:0]] * 2), RANKS, readout)


def test_a_model_of_masked_cells_is_refused() -> None:
    model = small_model()
    model.pair_settings = PairSettings(seq_length=23, objective="mlm")
    with pytest.raises(ValueError, match="'mlm'"):
        deletion_estimates(model, cells_of(model), RANKS, readout)


def test_errors_are_interpolated_between_exact_ranks() -> None:
    true = np.random.default_rng(0).standard_normal((9, 2))
    ranks = np.array([0, 4, 8])
    bent = np.interp(np.arange(9), ranks, [0.5, -0.1, 0.3])[:, None] * [1, 2]
    np.testing.assert_allclose(corrected(true + bent, ranks, true[ranks]), true, rtol=1e-12)


def test_exact_ranks_are_denser_at_the_top() -> None:
    ranks = exact_ranks(400, 8)
    assert ranks[0] == 0
    assert ranks[-1] == 399
    assert (np.diff(ranks, 2) > 0).all()
    assert exact_ranks(3, 8).tolist() == [0, 1, 2]
    assert exact_ranks(5, 0).tolist() == []
