"""Walks follow the probabilities, stay where they must, and come of seed, walk and step alone."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.fates.walks import drawn_entries, starting_cells, walks


def chain(*rows: list[float]) -> sp.csr_array:
    return sp.csr_array(np.array(rows))


def test_steps_are_drawn_in_proportion_to_the_probabilities():
    transitions = chain([0.1, 0.2, 0.7], [0, 1, 0], [0.5, 0, 0.5])
    visited = walks(transitions, np.zeros(40_000, dtype=np.int64), 1, seed=3)
    shares = np.bincount(visited[:, 1], minlength=3) / 40_000
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.7], atol=0.01)  # 4 standard errors


def test_walks_only_take_transitions_that_there_are_and_stay_where_nothing_leads_out():
    rng = np.random.default_rng(0)
    dense = rng.random((50, 50)) * (rng.random((50, 50)) < 0.1)
    dense[:, 0] += 1e-3
    dense[0] = np.eye(50)[0]
    transitions = sp.csr_array(dense / dense.sum(axis=1, keepdims=True))
    visited = walks(transitions, np.arange(50), 30, seed=1)
    assert (transitions.toarray()[visited[:, :-1], visited[:, 1:]] > 0).all()
    came = (visited == 0).argmax(axis=1)
    for walk, first in zip(visited, came, strict=True):
        if walk[first] == 0:
            assert (walk[first:] == 0).all()


def test_more_walks_or_steps_leave_the_first_ones_as_they_are():
    transitions = sp.csr_array(np.full((20, 20), 0.05))
    starts = starting_cells(np.arange(7), 30, seed=5)
    many = walks(transitions, starts, 12, seed=5)
    np.testing.assert_array_equal(many[:11, :6], walks(transitions, starts[:11], 5, seed=5))
    np.testing.assert_array_equal(starts[:11], starting_cells(np.arange(7), 11, seed=5))
    assert (many != walks(transitions, starts, 12, seed=6)).any()


def test_every_starting_cell_has_its_turn():
    starts = starting_cells(np.array([3, 8, 9]), 7, seed=0)
    assert np.bincount(starts, minlength=10)[[3, 8, 9]].tolist() in (
        [3, 2, 2],
        [2, 3, 2],
        [2, 2, 3],
    )


@pytest.mark.parametrize("fraction", [1e-17, 0.5, 1 - 2.0**-53])
def test_a_draw_stays_in_its_row_up_to_its_ends(fraction):
    """Also where the sums of earlier rows leave few digits."""
    transitions = sp.csr_array(np.tile([1 / 3, 1 / 3, 1 / 3], (100_000, 1)))
    rows = np.array([0, 1, 99_999])
    sums = np.cumsum(transitions.data)
    entries = drawn_entries(transitions, sums, rows, np.full(3, fraction))
    np.testing.assert_array_equal(entries // 3, rows)
    np.testing.assert_array_equal(
        entries % 3, [0 if fraction < 0.1 else 1 if fraction < 0.6 else 2] * 3
    )
