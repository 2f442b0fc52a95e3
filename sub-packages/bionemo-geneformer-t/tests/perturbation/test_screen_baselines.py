"""Baselines of a screen: ridge by hand and by re-encoding edited cells, correlations, drivers."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import rankdata

from bionemo.geneformer_t.fates.driver_genes import driver_genes
from bionemo.geneformer_t.fates.driver_settings import DriverSettings
from bionemo.geneformer_t.fates.strata import make_strata
from bionemo.geneformer_t.inference.expected_ranks import current_ranks
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits
from bionemo.geneformer_t.perturbation.driver_columns import with_drivers
from bionemo.geneformer_t.perturbation.edits import Delete
from bionemo.geneformer_t.perturbation.screen_baselines import (
    MOST_CELLS,
    PENALTIES,
    RidgeReadout,
    fit_ridge_readout,
    rank_correlations,
)
from bionemo.geneformer_t.ragged import Ragged

RNG = np.random.default_rng(0)
VOCAB, RANKS = 60, 20
ALL = np.arange(VOCAB)
CELLS = Ragged.of([RNG.permutation(VOCAB)[: RNG.integers(3, 40)] for _ in range(80)])
TABLE = current_ranks(CELLS, RANKS, ALL, VOCAB).astype(np.float64)


@pytest.fixture(scope="module")
def ridge() -> RidgeReadout:
    truth = RNG.standard_normal((VOCAB, 2))
    readouts = TABLE @ truth + 0.3 * RNG.standard_normal((80, 2)) + [2, -5]
    return fit_ridge_readout(CELLS, readouts, RANKS, VOCAB, RNG)


def test_slopes_solve_the_penalised_equations_and_the_penalty_is_that_of_left_out_cells() -> None:
    readouts = TABLE[:, :1] * [2.0, 0.0] + RNG.standard_normal((80, 2)) * [0.05, 1]
    found = fit_ridge_readout(CELLS, readouts, RANKS, VOCAB, RNG)
    centre, mean = TABLE.mean(axis=0), readouts.mean(axis=0)
    given = TABLE - centre

    def solved(rows: np.ndarray, penalty: float, target: np.ndarray) -> tuple[np.ndarray, float]:
        x, y = TABLE[rows] - TABLE[rows].mean(axis=0), target[rows] - target[rows].mean()
        slopes = np.linalg.solve(x.T @ x + penalty * np.eye(VOCAB), x.T @ y)
        return slopes, float(target[rows].mean() - TABLE[rows].mean(axis=0) @ slopes)

    for readout in range(2):
        penalty = found.penalties[readout]
        inverse = np.linalg.inv(given.T @ given + penalty * np.eye(VOCAB))
        expected = inverse @ given.T @ (readouts[:, readout] - mean[readout])
        np.testing.assert_allclose(found.slopes[:, readout], expected, atol=1e-6)
        errors = {}
        for tried in PENALTIES:
            left_out = 0.0
            for cell in range(80):
                slopes, intercept = solved(
                    np.delete(np.arange(80), cell), tried, readouts[:, readout]
                )
                left_out += (TABLE[cell] @ slopes + intercept - readouts[cell, readout]) ** 2
            errors[tried] = left_out
        assert errors[penalty] == pytest.approx(min(errors.values()), rel=0.02)
    assert found.penalties[0] < found.penalties[1]


def test_predictions_are_of_encoded_cells(ridge: RidgeReadout) -> None:
    expected = TABLE @ ridge.slopes + ridge.intercept
    np.testing.assert_allclose(ridge.predict(CELLS), expected, rtol=1e-5)


def test_a_gene_that_decides_stands_out() -> None:
    readouts = 3 * TABLE[:, [7]] + 0.1 * RNG.standard_normal((80, 1))
    fitted = fit_ridge_readout(CELLS, readouts, RANKS, VOCAB, RNG)
    edits = CellEdits(CELLS, [(gene,) for gene in range(VOCAB)], Delete(), RANKS)
    (batch,) = edits.batches(10_000)
    change = (fitted.predict(batch.contexts) - fitted.predict(CELLS)[batch.cells])[:, 0]
    effects = np.bincount(batch.targets, change) / np.bincount(batch.targets)
    assert effects.argmin() == 7
    assert effects.min() < 3 * np.sort(effects)[1]


def test_cells_without_next_cells_are_left_out() -> None:
    readouts = RNG.standard_normal((80, 1))
    readouts[::2] = np.nan
    found = fit_ridge_readout(CELLS, readouts, RANKS, VOCAB, RNG)
    alone = fit_ridge_readout(CELLS.take(np.arange(1, 80, 2)), readouts[1::2], RANKS, VOCAB, RNG)
    np.testing.assert_allclose(found.slopes, alone.slopes)
    assert found.num_cells == 40
    readouts[12:] = np.nan
    with pytest.raises(ValueError, match=r"needs 10 current cells .* 6 of 80 have"):
        fit_ridge_readout(CELLS, readouts, RANKS, VOCAB, RNG)


def test_a_regression_is_of_so_many_cells_at_most() -> None:
    many = CELLS.take(RNG.integers(80, size=MOST_CELLS + 5)).truncated(1)
    readouts = RNG.standard_normal((len(many), 1))
    assert fit_ridge_readout(many, readouts, RANKS, VOCAB, RNG).num_cells == MOST_CELLS


def test_correlations_are_within_strata() -> None:
    clusters = RNG.integers(2, size=80)
    readouts = RNG.standard_normal((80, 3)) + 5 * clusters[:, None]
    strata = make_strata(clusters, None, np.ones(80), 1)
    found = rank_correlations(sp.csc_array(TABLE), readouts, strata)
    expected = np.zeros((VOCAB, 3))
    ranks, own = np.zeros_like(TABLE), np.zeros_like(readouts)
    for cluster in range(2):
        here = clusters == cluster
        ranked = rankdata(TABLE[here], axis=0) / here.sum()
        ranks[here], own[here] = (
            ranked - ranked.mean(axis=0),
            readouts[here] - readouts[here].mean(0),
        )
    for gene in range(VOCAB):
        for readout in range(3):
            expected[gene, readout] = np.corrcoef(ranks[:, gene], own[:, readout])[0, 1]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    constant = rank_correlations(sp.csc_array(TABLE), np.ones((80, 1)), strata)
    assert np.isnan(constant).all()


def test_correlations_are_the_effects_of_driver_genes() -> None:
    fates = RNG.dirichlet(np.ones(2), 80)
    strata = make_strata(np.zeros(80), None, np.ones(80), 1)
    settings = DriverSettings(min_cells=1, num_permutations=1, max_permutations=1)
    drivers = driver_genes(sp.csr_array(TABLE), fates, strata, settings, with_donors=False)
    found = rank_correlations(sp.csc_array(TABLE), fates, strata)
    np.testing.assert_allclose(found.T, drivers.effect, atol=1e-5)


def test_drivers_are_found_by_gene_and_by_symbols_of_one_gene() -> None:
    table = pd.DataFrame(
        {
            "readout": ["to A", "to A", "to B", "time", "to A", "to A"],
            "target": ["g1", "ENS2", "g1", "g1", "g1+ENS2", "ENS9"],
            "symbol": ["One", "Two", "One", "One", "One+Two", "Same"],
        }
    )
    drivers = pd.DataFrame(
        {
            "fate": ["A", "A", "A", "A", "B"],
            "gene": ["g1", "g2", "g3", "g4", "g1"],
            "symbol": ["One", "Two", "Same", "Same", "One"],
            "effect": [0.1, 0.2, 0.3, 0.4, -0.5],
            "fdr": [0.01, 0.02, 0.03, 0.04, 0.05],
        }
    )
    fates = {"to A": "A", "to B": "B"}
    found = with_drivers(table, drivers, fates)
    nan = np.nan
    np.testing.assert_array_equal(found["driver_effect"], [0.1, 0.2, -0.5, nan, nan, nan])
    np.testing.assert_array_equal(found["driver_fdr"], [0.01, 0.02, 0.05, nan, nan, nan])
    assert with_drivers(table, None, fates)["driver_effect"].isna().all()
    assert "driver_fdr" not in table
