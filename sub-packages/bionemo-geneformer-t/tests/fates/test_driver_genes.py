"""Driver genes: effects by brute force, valid p-values, donors as units, the simulator's truth."""

from itertools import permutations as all_orders

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import kstest, rankdata, ttest_1samp

from bionemo.geneformer_t.fates.driver_genes import DriverTests, driver_genes
from bionemo.geneformer_t.fates.driver_settings import DriverSettings
from bionemo.geneformer_t.fates.strata import Strata, make_strata
from bionemo.geneformer_t.simulated_fates import FateSettings, FateSimulation, simulate_fates

FEW = DriverSettings(num_permutations=200, max_permutations=200, min_cells=2)


def run(
    values: np.ndarray,
    fates: np.ndarray,
    strata: Strata,
    settings: DriverSettings = FEW,
    *,
    with_donors: bool = False,
) -> DriverTests:
    return driver_genes(sp.csr_array(values), fates, strata, settings, with_donors=with_donors)


def one_stratum(num_cells: int) -> Strata:
    return make_strata(np.zeros(num_cells), None, np.ones(num_cells), 1)


def within(values: np.ndarray, strata: Strata, cells: np.ndarray) -> np.ndarray:
    """Ranks within strata, divided by their size and centred, of some cells in strata's order."""
    found = np.empty(len(values))
    for number, size in enumerate(strata.sizes):
        own = strata.of_cell == number
        ranks = rankdata(values[own]) / size
        found[own] = ranks - ranks.mean()
    return found[cells]


def test_effects_are_correlations_within_strata() -> None:
    rng = np.random.default_rng(0)
    clusters, depth = rng.integers(3, size=400), rng.random(400)
    values = rng.poisson(1.0, (400, 6)) / (1 + clusters[:, None])
    p = rng.random(400)
    fates = np.column_stack([p, 1 - p])
    strata = make_strata(clusters, None, depth, 3)
    found = run(values, fates, strata)
    own = fates[strata.order, 0]
    means = np.add.reduceat(own, strata.starts[:-1]) / strata.sizes
    own = own - means[strata.of_cell]
    for gene in range(6):
        ranks = within(values[strata.order, gene], strata, np.arange(400))
        assert found.effect[0, gene] == pytest.approx(np.corrcoef(ranks, own)[0, 1], abs=1e-5)
    np.testing.assert_allclose(found.effect[1], -found.effect[0], atol=1e-6)
    np.testing.assert_array_equal(found.p_value[1], found.p_value[0])
    assert (found.units == 400).all()


def test_strata_in_which_a_fate_is_the_same_say_nothing() -> None:
    rng = np.random.default_rng(0)
    clusters, values = np.repeat([0, 1], 100), rng.random((200, 3))
    p = np.where(clusters == 0, rng.random(200), 1.0)
    fates = np.column_stack([p, 1 - p])
    both = run(values, fates, make_strata(clusters, None, np.ones(200), 1))
    alone = run(values[:100], fates[:100], one_stratum(100))
    np.testing.assert_allclose(both.effect, alone.effect, atol=1e-6)
    np.testing.assert_array_equal(both.p_value, alone.p_value)
    assert both.compared.tolist() == [100, 100]
    assert (both.cells == 100).all()


def test_what_changes_no_rank_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    values, p = rng.poisson(1.0, (120, 4)).astype(float), rng.random(120)
    fates, strata = np.column_stack([p, 1 - p]), one_stratum(120)
    found, again = run(values, fates, strata), run(np.expm1(values) * 7, fates, strata)
    np.testing.assert_array_equal(found.p_value, again.p_value)
    np.testing.assert_array_equal(found.effect, again.effect)


def test_p_values_are_those_of_all_permutations() -> None:
    rng = np.random.default_rng(3)
    values, p = rng.random((6, 5)), rng.random(6)
    settings = DriverSettings(num_permutations=20_000, max_permutations=20_000, min_cells=2)
    found = run(values, np.column_stack([p, 1 - p]), one_stratum(6), settings)

    def statistic(ranks: np.ndarray, fate: np.ndarray) -> float:
        return abs(ranks @ fate) / np.sqrt((ranks**2) @ (fate**2))

    centred_p = p - p.mean()
    for gene in range(5):
        ranks = rankdata(values[:, gene]) - 3.5
        observed = statistic(ranks, centred_p)
        everyone = [statistic(ranks, centred_p[list(o)]) for o in all_orders(range(6))]
        exact = np.mean(np.array(everyone) >= observed * (1 - 1e-5))
        # five standard errors of 20,000 draws
        assert abs(found.p_value[0, gene] - exact) < 5 * 0.5 / np.sqrt(20_000)


def test_p_values_are_uniform_without_effect_whatever_the_number_of_permutations() -> None:
    rng = np.random.default_rng(0)
    values, p = rng.poisson(1.0, (80, 1500)), rng.random(80)
    settings = DriverSettings(num_permutations=50, max_permutations=1600, min_cells=2)
    found = run(values, np.column_stack([p, 1 - p]), one_stratum(80), settings)
    p_values = found.p_value[0]
    assert set(np.unique(found.permutations)) == {50, 200, 800, 1600}
    for level in (0.01, 0.05, 0.2, 0.5):
        share = (p_values <= level).mean()
        assert share < level + 4 * np.sqrt(level * (1 - level) / 1500)
    assert kstest(p_values, "uniform").statistic < 0.06


def test_a_gene_that_goes_with_the_spread_of_a_fate_is_no_driver() -> None:
    """Fates differ more where the gene is at an end of its ranks, in both directions alike."""
    rng = np.random.default_rng(0)
    rejected = []
    for _ in range(150):
        values = rng.random((200, 1))
        spread = np.abs(values[:, 0] - 0.5) ** 2
        p = 0.5 + spread * rng.choice([-1, 1], 200)
        found = run(values, np.column_stack([p, 1 - p]), one_stratum(200))
        rejected.append(found.p_value[0, 0] <= 0.05)
    # the correlation without its standard error is called in 18 % of such data
    assert np.mean(rejected) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


def donors_cells(
    effects: list[float], rng: np.random.Generator, genes: int = 1
) -> tuple[np.ndarray, np.ndarray, Strata]:
    """Donors of 60 cells, with a correlation of gene 0 and the fate in each."""
    donors = np.repeat(np.arange(len(effects)), 60)
    values = rng.normal(size=(len(donors), genes))
    noise = rng.normal(size=len(donors))
    slope = np.array(effects)[donors]
    p = 1 / (1 + np.exp(-(slope * values[:, 0] + np.sqrt(1 - slope**2) * noise + donors)))
    strata = make_strata(np.zeros(len(donors)), donors, np.ones(len(donors)), 1)
    return np.exp(values), np.column_stack([p, 1 - p]), strata


def test_an_effect_in_one_donor_alone_is_not_one_of_donors() -> None:
    settings = DriverSettings(num_permutations=2000, max_permutations=2000)
    given = donors_cells([0.95, 0, 0, 0, 0, 0], np.random.default_rng(0))
    assert run(*given, settings).p_value[0, 0] < 0.001  # cells as units
    found = run(*given, settings, with_donors=True)
    assert found.p_value[0, 0] > 0.05
    assert found.units[0, 0] == 6
    everywhere = donors_cells([0.5] * 6, np.random.default_rng(0))
    assert run(*everywhere, settings, with_donors=True).p_value[0, 0] < 0.003


def test_with_donors_p_values_are_those_of_a_t_test_of_their_effects() -> None:
    values, fates, strata = donors_cells([0.1] * 5, np.random.default_rng(2), genes=30)
    settings = DriverSettings(num_permutations=4000, max_permutations=4000)
    found = run(values, fates, strata, settings, with_donors=True)
    effects = np.array([
        [
            np.corrcoef(rankdata(values[own, gene]), fates[own, 0])[0, 1]
            for own in np.arange(300).reshape(5, 60)
        ]
        for gene in range(30)
    ])  # fmt: skip
    np.testing.assert_allclose(found.effect[0], effects.mean(axis=1), atol=1e-5)
    expected = ttest_1samp(effects, 0, axis=1).pvalue
    # effects of 60 cells are nearly normal
    np.testing.assert_allclose(found.p_value[0], expected, atol=0.04)


def test_effects_that_differ_between_donors_are_no_evidence() -> None:
    """Donors whose effects vary around 0: cells as units call most of them, donors do not."""
    rng = np.random.default_rng(0)
    by_donor, by_cell = [], []
    for _ in range(80):
        given = donors_cells(list(rng.uniform(-0.8, 0.8, 5)), rng)
        by_donor.append(run(*given, with_donors=True).p_value[0, 0] <= 0.05)
        by_cell.append(run(*given).p_value[0, 0] <= 0.05)
    assert np.mean(by_donor) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)
    assert np.mean(by_cell) > 0.4


def test_below_four_donors_there_are_effects_and_no_p_values() -> None:
    found = run(*donors_cells([0.5] * 3, np.random.default_rng(0)), with_donors=True)
    assert np.isfinite(found.effect).all()
    assert np.isnan(found.p_value).all()
    assert np.isnan(found.fdr).all()
    assert (found.permutations == 0).all()


def test_a_donor_that_does_not_express_a_gene_is_no_unit_of_it() -> None:
    values, fates, strata = donors_cells([0.5] * 5, np.random.default_rng(0), genes=3)
    values[:60, 1] = 0
    values[:120, 2] = 0
    found = run(values, fates, strata, with_donors=True)
    assert found.units[0].tolist() == [5, 4, 3]
    assert np.isfinite(found.p_value[0]).tolist() == [True, True, False]
    assert np.isfinite(found.effect).all()


def test_genes_that_few_cells_express_are_not_compared() -> None:
    rng = np.random.default_rng(0)
    values, p = rng.random((100, 3)), rng.random(100)
    values[9:, 0] = 0
    values[:, 2] = 0
    settings = DriverSettings(num_permutations=50, max_permutations=50)
    found = run(values, np.column_stack([p, 1 - p]), one_stratum(100), settings)
    assert np.isfinite(found.effect[0]).tolist() == [False, True, False]
    assert found.cells[0].tolist() == [9, 100, 0]


def test_no_p_value_is_below_its_floor() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(100)
    settings = DriverSettings(num_permutations=30, max_permutations=70)
    found = run(p[:, None], np.column_stack([p, 1 - p]), one_stratum(100), settings)
    assert found.permutations[0, 0] == 70
    assert found.p_value[0, 0] == pytest.approx(1 / 71)


def test_fates_that_differ_nowhere_are_refused() -> None:
    with pytest.raises(ValueError, match="differ between the cells of any stratum"):
        run(np.ones((50, 1)), np.full((50, 2), 0.5), one_stratum(50))


@pytest.mark.parametrize(
    ("name", "value"),
    [("depth_bins", 0), ("min_cells", 0), ("num_permutations", 0), ("max_permutations", 999)],
)
def test_impossible_settings_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=name):
        DriverSettings(**{name: value})


def simulated(cells: FateSimulation, **given: bool) -> tuple[DriverTests, np.ndarray]:
    counts = sp.csr_array(cells.counts)
    depth = np.asarray(counts.sum(axis=1), dtype=float)
    donors = cells.donor if given["with_donors"] else None
    strata = make_strata(cells.branch, donors, depth, 5)
    values = sp.csr_array(sp.diags_array(1 / depth) @ counts)
    settings = DriverSettings(max_permutations=16_000)
    drives = [cells.switches.drives(leaf, counts.shape[1]) for leaf in cells.switches.leaves]
    return driver_genes(values, cells.true_fates, strata, settings, **given), np.array(drives)


@pytest.mark.parametrize("num_donors", [0, 10])
def test_switch_genes_of_the_simulator_are_found(num_donors: int) -> None:
    settings = FateSettings(
        num_cells=3000, num_genes=200, num_switch_genes=4, num_donors=num_donors, switch_effect=0.9
    )
    cells = simulate_fates(settings, np.random.default_rng(0))
    found, drives = simulated(cells, with_donors=num_donors > 0)
    called = found.fdr <= 0.05
    assert called[drives != 0].mean() >= 0.8
    assert (called & (drives == 0)).sum() <= 0.1 * called.sum()
    is_true = called & (drives != 0)
    assert (np.sign(found.effect) == drives)[is_true].all()
