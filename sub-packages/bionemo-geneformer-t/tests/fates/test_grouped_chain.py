"""The chain in the order of groups holds the same transitions, and groups are of nearby cells."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

from bionemo.geneformer_t.fates.grouped_chain import grouped_chain, nearby_groups

RNG = np.random.default_rng(0)


@pytest.fixture
def chain() -> sp.csr_array:
    """3,000 cells, so that rows come in several blocks; some have no transition."""
    weights = sp.random_array((3000, 3000), density=0.002, rng=RNG, format="csr")
    weights.data[weights.indptr[5] : weights.indptr[10]] = 0
    weights.eliminate_zeros()
    return weights


def test_it_is_the_chain_of_these_cells_in_another_order(chain):
    rows = np.flatnonzero(RNG.random(3000) < 0.8)
    found = grouped_chain(chain, rows, 40)
    among = chain.toarray()[np.ix_(rows, rows)]
    np.testing.assert_array_equal(np.sort(found.order), np.arange(len(rows)))
    ordered = among[np.ix_(found.order, found.order)]
    np.testing.assert_array_equal(found.moves.toarray(), ordered.astype(np.float32))
    assert found.moves.dtype == np.float32
    assert found.moves.has_sorted_indices
    assert 2 <= len(found.sizes) <= 41
    members = np.repeat(np.eye(len(found.sizes)), found.sizes, axis=0)
    expected = members.T @ (np.eye(len(rows)) - ordered) @ members
    np.testing.assert_allclose(found.leaving, expected, atol=1e-12)


def test_each_cell_is_in_the_group_of_a_nearest_seed(chain):
    rows = np.arange(1, 3000, 2)
    group = nearby_groups(chain, rows, 30)
    seeds = rows[np.linspace(0, len(rows) - 1, 30).astype(int)]
    steps = dijkstra(chain, indices=seeds, unweighted=True)[:, rows]
    reached = np.isfinite(steps).any(axis=0)
    own = steps[group[reached], np.flatnonzero(reached)]
    np.testing.assert_array_equal(own, steps[:, reached].min(axis=0))
    assert (group[~reached] == 30).all()
    assert len(np.unique(group)) == group.max() + 1
