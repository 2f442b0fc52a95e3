"""Matched genes: the nearest in cells and rank by brute force, and never the gene itself."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import rankdata

from bionemo.geneformer_t.perturbation.null_genes import NONE, plan_nulls
from bionemo.geneformer_t.perturbation.null_settings import NullSettings

RNG = np.random.default_rng(0)
CELLS, GENES = 200, 400
DETECTION = RNG.beta(0.6, 1.2, GENES)
HELD = RNG.random((CELLS, GENES)) < DETECTION
RANKS = sp.csc_array(np.where(HELD, RNG.random((CELLS, GENES)) * RNG.random(GENES) + 1e-3, 0))
NUMBER = np.diff(RANKS.indptr)
FEW = NullSettings(num_null=25, min_cells=30)
OFTEN = [int(gene) for gene in np.flatnonzero(NUMBER >= 30)]


def points() -> np.ndarray:
    """Cells and mean rank as ranks among the genes that 15 cells or more hold."""
    mean = RANKS.sum(axis=0) / np.maximum(NUMBER, 1)
    candidates = NUMBER >= 15
    found = np.full((GENES, 2), np.nan)
    for column, values in enumerate((NUMBER, mean)):
        found[candidates, column] = (rankdata(values[candidates]) - 0.5) / candidates.sum()
    return found


def test_the_null_is_the_nearest_genes_in_cells_and_rank() -> None:
    asked = [(gene,) for gene in OFTEN[:40]]
    plan = plan_nulls(asked, RANKS, FEW)
    assert plan.targets[:40] == asked
    places = points()
    for (gene,), row in zip(asked, plan.nulls, strict=True):
        apart = np.linalg.norm(places - places[gene], axis=1)
        apart[gene] = np.inf
        expected = np.sort(apart[np.isfinite(apart)])[:25]
        null = [plan.targets[i][0] for i in row]
        assert gene not in null
        assert len(set(null)) == 25
        np.testing.assert_allclose(apart[null], expected, rtol=1e-12)


def test_only_what_is_needed_is_computed_further() -> None:
    plan = plan_nulls([(OFTEN[3],), (OFTEN[5],)], RANKS, FEW)
    assert len(plan.further) <= 50
    used = {plan.targets[i] for i in plan.nulls.ravel()}
    assert used <= set(plan.targets)
    assert set(plan.further) <= used
    assert len(set(plan.targets)) == len(plan.targets)
    everything = plan_nulls([(gene,) for gene in range(GENES)], RANKS, FEW)
    assert everything.further == []


def test_a_target_has_the_same_null_whoever_else_is_asked_for() -> None:
    pair = (OFTEN[0], OFTEN[9])
    asked = [(OFTEN[3],), pair, (OFTEN[5],)]
    named = {}
    for order in (asked, asked[::-1], [pair]):
        plan = plan_nulls(order, RANKS, FEW)
        for target, row in zip(order, plan.nulls, strict=True):
            null = [plan.targets[i] for i in row if i != NONE]
            assert named.setdefault(target, null) == null


def test_genes_of_few_cells_have_no_null_and_are_in_none_below_half() -> None:
    few = int(np.flatnonzero((NUMBER < 30) & (NUMBER >= 15))[0])
    plan = plan_nulls([(few,), (OFTEN[0],)], RANKS, FEW)
    assert (plan.nulls[0] == NONE).all()
    everything = plan_nulls([(gene,) for gene in OFTEN], RANKS, FEW)
    used = np.array([everything.targets[i][0] for i in np.unique(everything.nulls)])
    assert NUMBER[used].min() >= 15
    assert NUMBER[used].min() < 30


def test_a_short_supply_of_genes_leaves_gaps() -> None:
    some = sp.csc_array(RANKS[:, OFTEN[:22]])
    plan = plan_nulls([(0,)], some, FEW)
    assert (plan.nulls[0] != NONE).sum() == 21
    nothing = plan_nulls([(0,)], sp.csc_array((CELLS, 3)), FEW)
    assert (nothing.nulls == NONE).all()
    assert nothing.targets == [(0,)]


@pytest.mark.parametrize("size", [2, 3])
def test_combinations_are_matched_gene_by_gene(size: int) -> None:
    common = [gene for gene in OFTEN if NUMBER[gene] >= 150]
    target = tuple(sorted(common[:size]))
    plan = plan_nulls([target], RANKS, FEW)
    null = [plan.targets[i] for i in plan.nulls[0]]
    assert len(set(null)) == 25
    singles = plan_nulls([(gene,) for gene in target], RANKS, FEW)
    matched = [{singles.targets[i][0] for i in row} for row in singles.nulls]
    dense = HELD.astype(bool)
    together = dense[:, target].all(axis=1).sum()
    for other in null:
        assert list(other) == sorted(set(other))
        assert not set(other) & set(target)
        assert all(any(gene in genes for genes in matched) for gene in other)
        assert dense[:, other].all(axis=1).sum() == pytest.approx(together, rel=0.4)
    other_seed = plan_nulls([target], RANKS, NullSettings(num_null=25, seed=1))
    assert [other_seed.targets[i] for i in other_seed.nulls[0]] != null


def test_a_combination_that_few_cells_hold_has_no_null() -> None:
    rare = tuple(sorted(np.argsort(np.where(NUMBER >= 30, NUMBER, CELLS + 1))[:2].tolist()))
    assert HELD[:, rare].all(axis=1).sum() < 30
    assert (plan_nulls([rare], RANKS, FEW).nulls == NONE).all()
