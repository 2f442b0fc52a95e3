"""Strata hold cells that are alike; ranks and permutations stay within them."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import rankdata

from bionemo.geneformer_t.fates.strata import (
    Strata,
    centred,
    make_strata,
    permuted,
    stratum_ranks,
)

RNG = np.random.default_rng(0)
CLUSTERS = RNG.choice(["a", "b", "rare"], 300, p=[0.6, 0.37, 0.03])
DONORS = RNG.choice(["x", "y"], 300)
DEPTH = RNG.lognormal(7, 0.5, 300)


@pytest.fixture(scope="module")
def strata() -> Strata:
    return make_strata(CLUSTERS, DONORS, DEPTH, 4)


def test_cells_of_a_stratum_share_cluster_and_donor_and_are_of_similar_depth(
    strata: Strata,
) -> None:
    assert sorted(strata.order) == list(range(300))
    before: dict[tuple[str, str], float] = {}
    for number in range(len(strata.sizes)):
        cells = strata.order[strata.of_cell == number]
        ((cluster, donor),) = set(zip(CLUSTERS[cells], DONORS[cells], strict=True))
        assert DEPTH[cells].min() >= before.get((cluster, donor), 0)
        before[cluster, donor] = DEPTH[cells].max()
        everyone = ((cluster == CLUSTERS) & (donor == DONORS)).sum()
        assert len(cells) >= min(20, everyone)
    assert len(before) == 6


def test_cells_of_a_donor_are_consecutive(strata: Strata) -> None:
    for number, donor in enumerate(("x", "y")):
        assert set(DONORS[strata.order[strata.cells_of(number)]]) == {donor}


def test_without_donors_or_depth_bins_a_cluster_is_a_stratum() -> None:
    strata = make_strata(CLUSTERS, None, DEPTH, 1)
    assert len(strata.sizes) == 3
    assert strata.cells_of(0) == slice(0, 300)


def test_some_strata_keep_their_cells(strata: Strata) -> None:
    which = np.arange(len(strata.sizes)) % 2 == 0
    some = strata.only(which)
    np.testing.assert_array_equal(some.sizes, strata.sizes[which])
    np.testing.assert_array_equal(some.order, strata.order[which[strata.of_cell]])
    np.testing.assert_array_equal(some.donor, strata.donor[which])


def test_ranks_are_those_of_scipy_within_each_stratum(strata: Strata) -> None:
    values = RNG.poisson(0.7, (300, 12)).astype(float)
    values[:, 3], values[:, 4] = 0, 1
    ranks = stratum_ranks(sp.csc_array(values[strata.order]), strata)
    expected = np.empty_like(values)
    squares = np.empty((len(strata.sizes), 12))
    for number, size in enumerate(strata.sizes):
        cells = strata.of_cell == number
        within = rankdata(values[strata.order][cells], axis=0) / size
        expected[cells] = within - within.mean(axis=0)
        squares[number] = (expected[cells] ** 2).sum(axis=0)
    found = ranks.dense(np.arange(12), strata)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # stored in 32 bits
    np.testing.assert_allclose(ranks.squares, squares, atol=1e-12)
    np.testing.assert_array_equal(ranks.dense(np.array([7, 2]), strata), found[:, [7, 2]])


def test_a_matrix_without_counts_has_equal_ranks(strata: Strata) -> None:
    ranks = stratum_ranks(sp.csc_array((300, 2)), strata)
    assert (ranks.dense(np.arange(2), strata) == 0).all()


def test_permutations_stay_within_strata_and_differ(strata: Strata) -> None:
    found = permuted(strata, 50, np.random.default_rng(1))
    np.testing.assert_array_equal(np.sort(found, axis=1), np.tile(np.arange(300), (50, 1)))
    assert (strata.of_cell[found] == strata.of_cell).all()
    assert len(np.unique(found, axis=0)) == 50
    # every cell of a stratum comes to a place about as often: 50 draws among 20 cells or more
    assert (found == np.arange(300)).mean() < 0.1


def test_centred_values_sum_to_zero_in_each_stratum(strata: Strata) -> None:
    found = centred(RNG.random((300, 2)), strata)
    sums = np.add.reduceat(found, strata.starts[:-1], axis=0)
    np.testing.assert_allclose(sums, 0, atol=1e-12)
