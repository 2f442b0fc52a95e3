"""Tests of effects: by hand, on pure noise, with planted drivers, and with donors as units."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import false_discovery_control, ttest_1samp

from bionemo.geneformer_t.perturbation.effect_tests import DonorEffects, EffectTests, effect_tests
from bionemo.geneformer_t.perturbation.null_genes import NONE, plan_nulls
from bionemo.geneformer_t.perturbation.null_settings import NullSettings
from bionemo.geneformer_t.perturbation.winsorised import winsorised_moments

SETTINGS = NullSettings()
NOISES = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "Laplace": lambda rng, size: rng.laplace(size=size),
    "t5": lambda rng, size: rng.standard_t(5, size),
}


class Screen:
    """Genes with detection and rank, and their nulls; all genes are asked for."""

    def __init__(self, rng: np.random.Generator, genes: int = 1000, cells: int = 150) -> None:
        self.detection = rng.beta(0.7, 2, genes) * 0.95 + 0.05
        self.rank = rng.beta(2, 2, genes)
        held = rng.random((cells, genes)) < self.detection
        ranks = np.where(
            held, np.clip(self.rank + 0.1 * rng.standard_normal(held.shape), 0.01, 1), 0
        )
        self.ranks = sp.csc_array(ranks)
        self.cells = held.sum(axis=0)
        self.nulls = plan_nulls([(gene,) for gene in range(genes)], self.ranks, SETTINGS).nulls

    def tests(self, effects: np.ndarray) -> EffectTests:
        return effect_tests(effects, self.cells, self.nulls, SETTINGS)


@pytest.fixture(scope="module")
def screen() -> Screen:
    return Screen(np.random.default_rng(0))


def test_numbers_are_those_by_hand(screen: Screen) -> None:
    effects = np.random.default_rng(1).standard_normal((1000, 2)) * screen.detection[:, None] + 3
    found = screen.tests(effects)
    for gene in np.flatnonzero(screen.cells >= 30)[:20]:
        null = effects[screen.nulls[gene]]
        mean, sd = winsorised_moments(null[None])
        np.testing.assert_allclose(found.null_mean[gene], mean[0])
        np.testing.assert_allclose(found.null_sd[gene], sd[0])
        np.testing.assert_allclose(found.z[gene], (effects[gene] - mean[0]) / sd[0])
    np.testing.assert_array_equal(found.effect, effects)
    for readout in range(2):
        tested = np.isfinite(found.p_value[:, readout])
        expected = false_discovery_control(found.p_value[tested, readout])
        np.testing.assert_allclose(found.fdr[tested, readout], expected)
    assert (found.null_size[screen.cells >= 30] == 100).all()
    np.testing.assert_array_equal(found.units, screen.cells)


def test_nothing_is_said_of_targets_with_too_few_cells(screen: Screen) -> None:
    effects = np.random.default_rng(1).standard_normal((1000, 1))
    few = screen.cells < 30
    assert few.any()
    effects[few] = 1e6  # they are no null either below half as many
    found = screen.tests(effects)
    for numbers in (found.z, found.p_value, found.fdr, found.null_mean):
        np.testing.assert_array_equal(np.isfinite(numbers[:, 0]), ~few)
    assert (found.effect[few] == 1e6).all()
    barely = effect_tests(effects, np.where(few, 14, 30), screen.nulls, SETTINGS)
    assert np.nanmax(barely.null_mean) < 3


def test_a_null_need_not_be_centred(screen: Screen) -> None:
    """What all genes do by being deleted, the more the higher they are, is no discovery."""
    noise = np.random.default_rng(1).standard_normal((1000, 1))
    systematic = -20 * screen.rank[:, None] - 30
    found = screen.tests(noise + systematic)
    assert np.nanmin(found.fdr) > 0.05
    assert abs(np.nanmean(found.z)) < 0.1


@pytest.mark.parametrize("spread", ["detection", "rank", "both", "cells"])
@pytest.mark.parametrize("noise", sorted(NOISES))
def test_pure_noise_is_not_discovered(noise: str, spread: str, screen: Screen) -> None:
    of_gene = {
        "detection": screen.detection,
        "rank": np.exp(2 * screen.rank),
        "both": screen.detection * np.exp(screen.rank),
        "cells": 1 / np.sqrt(screen.cells),
    }[spread]
    rng = np.random.default_rng(0)
    effects = NOISES[noise](rng, (1000, 20)) * of_gene[:, None]  # 20 runs, one a readout
    found = screen.tests(effects)
    tested = np.isfinite(found.p_value)
    discovered = (found.fdr < 0.05).sum(axis=0)
    assert (discovered <= 0.05 * tested.sum(axis=0)).all()
    assert discovered.sum() <= 4  # of 20 runs with about 800 genes each
    assert 0.03 < (found.p_value[tested] < 0.05).mean() < 0.07


def test_a_strong_driver_is_found_with_its_sign(screen: Screen) -> None:
    effects = np.random.default_rng(2).standard_normal((1000, 2)) * screen.detection[:, None]
    low, high = np.flatnonzero(screen.cells >= 60)[[3, 17]]
    effects[low], effects[high] = -12 * screen.detection[low], 12 * screen.detection[high]
    found = screen.tests(effects)
    assert (found.fdr[[low, high]] < 0.05).all()
    assert (found.z[low] < -6).all()
    assert (found.z[high] > 6).all()
    assert (found.fdr < 0.05).sum() <= 5  # one false among them, at most


def test_one_pseudogene_does_not_hide_a_driver(screen: Screen) -> None:
    effects = np.random.default_rng(2).standard_normal((1000, 1))
    driver = int(np.flatnonzero(screen.cells >= 60)[3])
    effects[driver] = 12
    before = screen.tests(effects)
    effects[screen.nulls[driver, 0]] = 1e4
    after = screen.tests(effects)
    assert after.null_sd[driver, 0] == pytest.approx(before.null_sd[driver, 0], rel=0.1)
    assert after.fdr[driver, 0] < 0.05


def test_a_few_targets_are_compared_with_genes_computed_for_them() -> None:
    rng = np.random.default_rng(0)
    screen = Screen(rng)
    asked = [(int(gene),) for gene in np.flatnonzero(screen.cells >= 40)[:3]]
    plan = plan_nulls(asked, screen.ranks, SETTINGS)
    rows = [target[0] for target in plan.targets]
    effects = rng.standard_normal((1000, 1))
    everything = screen.tests(effects)
    found = effect_tests(effects[rows], screen.cells[rows], plan.nulls, SETTINGS)
    np.testing.assert_allclose(found.z, everything.z[rows[:3]])
    with_nulls = effect_tests(effects[rows], screen.cells[rows], plan.nulls[:1], SETTINGS)
    np.testing.assert_allclose(with_nulls.z[0], found.z[0])
    effects[rows[0]] = 40.0
    strong = effect_tests(effects[rows], screen.cells[rows], plan.nulls, SETTINGS)
    assert strong.fdr[0, 0] < 0.05


def test_a_screen_pays_for_all_that_it_looked_at(screen: Screen) -> None:
    effects = np.random.default_rng(3).standard_normal((1000, 1))
    few = effect_tests(effects, screen.cells, screen.nulls[:40], SETTINGS)
    paid = effect_tests(effects, screen.cells, screen.nulls[:40], SETTINGS, num_tests=4000)
    best = np.nanargmin(few.p_value)
    np.testing.assert_array_equal(paid.p_value, few.p_value)
    assert paid.fdr[best, 0] == pytest.approx(min(1, 4000 * few.p_value[best, 0]))
    with pytest.raises(ValueError, match="num_tests must be at least the number of targets, 40"):
        effect_tests(effects, screen.cells, screen.nulls[:40], SETTINGS, num_tests=39)


def test_without_enough_matched_targets_there_is_no_null() -> None:
    effects, cells = np.arange(25.0)[:, None], np.full(25, 100)
    nulls = np.full((2, 100), NONE)
    nulls[0, :19], nulls[1, :20] = np.arange(2, 21), np.arange(2, 22)
    found = effect_tests(effects, cells, nulls, SETTINGS)
    assert np.isfinite(found.z[:, 0]).tolist() == [False, True]
    assert found.null_size.tolist() == [19, 20]
    nothing = effect_tests(np.zeros((3, 0)), cells[:3], np.full((3, 5), NONE), SETTINGS)
    assert nothing.fdr.shape == (3, 0)


def test_a_null_that_does_not_vary_gives_no_z() -> None:
    nulls = np.tile(np.arange(1, 41), (1, 1))
    found = effect_tests(np.eye(41)[:, :1], np.full(41, 50), nulls, SETTINGS)
    assert np.isnan(found.z).all()
    assert np.isnan(found.fdr).all()


# Donors


def donor_effects(rng: np.random.Generator, rows: int, donors: int) -> DonorEffects:
    return DonorEffects(effects=rng.standard_normal((rows, donors, 1)))


def test_effects_in_donors_are_means_over_their_cells() -> None:
    rng = np.random.default_rng(0)
    donor, cluster = rng.integers(3, size=200), rng.integers(2, size=200)
    each = rng.standard_normal((2, 200, 4))
    affected = rng.random((2, 200)) < 0.5
    affected[1, donor == 2] = False
    groups = np.arange(6)
    sums, counts = np.zeros((2, 6, 4)), np.zeros((2, 6), dtype=np.int64)
    for group in groups:
        here = affected & (donor * 2 + cluster == group)
        sums[:, group] = (each * here[..., None]).sum(axis=1)
        counts[:, group] = here.sum(axis=1)
    found = DonorEffects.of(sums, counts, groups // 2, SETTINGS)
    for row in range(2):
        means = [
            each[row, affected[row] & (donor == d)].mean(axis=0)
            for d in range(3 if row == 0 else 2)
        ]
        np.testing.assert_allclose(found.means[row], np.mean(means, axis=0))
    assert found.units.tolist() == [3, 2]
    strict = DonorEffects.of(sums, counts, groups // 2, NullSettings(min_donor_cells=1000))
    assert strict.units.tolist() == [0, 0]
    assert np.isnan(strict.means).all()


def test_the_p_value_is_the_larger_of_both() -> None:
    rng = np.random.default_rng(0)
    donors = donor_effects(rng, 201, 6)
    donors.effects[0] += np.array([40, 1, 1, 1, 1, 1])[:, None]  # one donor alone
    donors.effects[1] += 40  # every donor
    nulls = np.stack([np.arange(100, 200), np.arange(101, 201)])
    found = effect_tests(np.zeros((201, 1)), np.full(201, 90), nulls, SETTINGS, donors=donors)
    for row in range(2):
        null, _ = winsorised_moments(donors.effects[nulls[row]][None])
        apart = donors.effects[row, :, 0] - null[0, :, 0]
        assert found.donor_p_value[row, 0] == pytest.approx(ttest_1samp(apart, 0).pvalue)
        assert found.effect[row, 0] == pytest.approx(donors.effects[row].mean())
    alone = effect_tests(donors.means, np.full(201, 90), nulls, SETTINGS)
    np.testing.assert_allclose(found.z, alone.z)
    np.testing.assert_allclose(found.p_value, np.maximum(alone.p_value, found.donor_p_value))
    assert alone.fdr[0, 0] < 0.05 < found.fdr[0, 0]
    assert found.fdr[1, 0] < 0.05
    assert found.units.tolist() == [6, 6]


def test_below_four_donors_there_is_no_test_over_donors() -> None:
    donors = donor_effects(np.random.default_rng(0), 120, 5)
    donors.effects[0, :2] = np.nan
    nulls = np.stack([np.arange(10, 110), np.arange(11, 111)])
    found = effect_tests(np.zeros((120, 1)), np.full(120, 90), nulls, SETTINGS, donors=donors)
    assert found.units.tolist() == [3, 5]
    assert np.isnan(found.donor_p_value[:, 0]).tolist() == [True, False]
    assert np.isfinite(found.p_value).all()
