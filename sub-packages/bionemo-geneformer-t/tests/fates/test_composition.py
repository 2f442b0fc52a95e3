"""Exact compositions are powers of the matrix; sampled ones agree within their intervals."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.fates.cluster_codes import NO_CLUSTER, cells_labelled, cluster_codes
from bionemo.geneformer_t.fates.composition import (
    along,
    any_candidate,
    either_direction,
    exact_shares,
    sampled_shares,
    total_variation,
)
from bionemo.geneformer_t.fates.later_times import later_times
from bionemo.geneformer_t.fates.walks import starting_cells, walks


@pytest.fixture
def dense():
    """Thirty cells in three clusters; the last two cells are never left."""
    rng = np.random.default_rng(0)
    weights = rng.random((30, 30)) ** 4 * (rng.random((30, 30)) < 0.4)
    weights[:, 29] += 0.01
    weights[28:] = np.eye(30)[28:]
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.fixture
def clusters():
    return cluster_codes(pd.DataFrame({"type": np.repeat(["b", "a", "c"], 10)}), "type")


ABSORBING = np.arange(30) >= 28


def test_exact_shares_are_powers_of_the_matrix(dense, clusters):
    start = np.zeros(30)
    start[:10] = 0.1
    found = exact_shares(along(sp.csr_array(dense)), start, 7, clusters, ABSORBING)
    for step in range(8):
        at = start @ np.linalg.matrix_power(dense, step)
        expected = [at[10:20].sum(), at[:10].sum(), at[20:].sum()]
        np.testing.assert_allclose(found.clusters[step], expected, atol=1e-13)
        np.testing.assert_allclose(found.absorbed[step], at[28:].sum(), atol=1e-13)


def test_nulls_are_the_chains_that_they_say(dense, clusters):
    start = np.full(30, 1 / 30)
    pattern = (dense > 0).astype(float)
    both = dense + dense.T
    for step, weights in ((any_candidate, pattern), (either_direction, both)):
        matrix = weights / weights.sum(axis=1, keepdims=True)
        at = start
        for _ in range(4):
            at = step(sp.csr_array(dense))(at)
        np.testing.assert_allclose(at, start @ np.linalg.matrix_power(matrix, 4), atol=1e-14)


def test_in_either_direction_shares_are_in_proportion_to_transitions_in_the_long_run(dense):
    at, step = np.full(30, 1 / 30), either_direction(sp.csr_array(dense))
    degree = (dense + dense.T).sum(axis=1)
    np.testing.assert_allclose(step(degree), degree, rtol=1e-13)
    for _ in range(500):
        at = step(at)
    np.testing.assert_allclose(at, degree / degree.sum(), atol=1e-9)


def test_sampled_shares_agree_with_exact_ones_and_their_intervals_cover(dense, clusters):
    transitions = sp.csr_array(dense)
    start = np.full(30, 1 / 30)
    exact = exact_shares(along(transitions), start, 3, clusters, ABSORBING)
    covered = []
    for seed in range(40):
        visited = walks(transitions, starting_cells(np.arange(30), 600, seed), 3, seed)
        found = sampled_shares(visited, clusters, ABSORBING, seed)
        np.testing.assert_allclose(found.clusters.sum(axis=1), 1)
        assert total_variation(found.clusters, exact.clusters).max() < 0.12
        both = np.column_stack([exact.clusters, exact.absorbed])[1:]
        covered.append((found.low[1:] <= both) & (both <= found.high[1:]))
    # a bootstrap over starting cells is wider than the noise of walks from all of them
    assert np.mean(covered) >= 0.94


def test_one_starting_cell_has_the_interval_of_its_walks(clusters):
    transitions = sp.csr_array(np.tile(np.repeat([0.08, 0.0, 0.02], 10), (30, 1)))
    visited = walks(transitions, np.zeros(400, dtype=np.int64), 1, seed=0)
    found = sampled_shares(visited, clusters, ABSORBING, 0)
    width = found.high[1, 1] - found.low[1, 1]
    np.testing.assert_allclose(width, 2 * 1.96 * np.sqrt(0.8 * 0.2 / 400), rtol=0.2)
    assert found.low[0, 1] == found.high[0, 1] == 1


def test_walks_from_the_same_cell_are_no_independent_samples(clusters):
    """All walks of a cell end alike: the interval is that of ten cells, not of a thousand walks."""
    ends = np.where(np.arange(10) < 5, 10, 20)
    visited = np.column_stack([np.arange(10), ends])[np.resize(np.arange(10), 1000)]
    found = sampled_shares(visited, clusters, ABSORBING, 0)
    width = found.high[1, 0] - found.low[1, 0]
    assert 0.5 <= width <= 0.7  # 2 * 1.96 * sqrt(0.25 / 10) = 0.62


def test_intervals_of_many_starting_cells_are_as_wide_as_binomial_ones():
    clusters = cluster_codes(pd.DataFrame({"type": np.repeat([*"ab"], 3000)}), "type")
    rng = np.random.default_rng(0)
    visited = np.column_stack([np.arange(6000), np.where(rng.random(6000) < 0.2, 0, 3000)])
    found = sampled_shares(visited, clusters, np.zeros(6000, dtype=bool), 0)
    width = found.high[1, 0] - found.low[1, 0]
    np.testing.assert_allclose(width, 2 * 1.96 * np.sqrt(0.2 * 0.8 / 6000), rtol=0.15)


def test_clusters_have_the_order_of_their_categories_and_none_is_one_of_its_own():
    column = pd.Categorical(["x", None, "w", "x"], categories=["x", "unused", "w"])
    found = cluster_codes(pd.DataFrame({"type": column}), "type")
    assert found.names == ("x", "w", NO_CLUSTER)
    assert found.codes.tolist() == [0, 2, 1, 0]
    assert found.num_without == 1
    np.testing.assert_array_equal(found.shares(np.full(4, 0.25)), [0.5, 0.25, 0.25])
    with pytest.raises(ValueError, match=r"cluster_key: no cell has a label in obs\['type'\]"):
        cluster_codes(pd.DataFrame({"type": [None, None]}), "type")


def test_labels_are_found_as_text_and_as_numbers_with_gaps():
    obs = pd.DataFrame({"type": [1.0, np.nan, 2.0]})
    assert cells_labelled(obs, "type", ["1"], "start").tolist() == [True, False, False]
    with pytest.raises(KeyError, match=r"start: obs\['type'\] has no '3'; it has: 1.0, 2.0"):
        cells_labelled(obs, "type", ["1", "3"], "start")
    with pytest.raises(KeyError, match="has no 'no cluster'"):
        cells_labelled(obs, "type", [NO_CLUSTER], "start")


def test_later_times_are_those_after_the_first_starting_cell():
    obs = pd.DataFrame({"type": [*"aabbca"], "day": ["D0", "D2", "D2", "D10", "D10", None]})
    clusters = cluster_codes(obs, "type")
    found = later_times(obs, "day", None, clusters, np.array([0, 5]))
    assert found.labels == ("D2", "D10")
    np.testing.assert_array_equal(found.shares, [[0.5, 0.5, 0], [0, 0.5, 0.5]])
    assert found.num_cells.tolist() == [2, 2]
    assert found.num_unknown == 1
    assert later_times(obs, "day", None, clusters, np.array([3])).labels == ()
    with pytest.raises(ValueError, match="none of the 1 starting cells has a time"):
        later_times(obs, "day", None, clusters, np.array([5]))
