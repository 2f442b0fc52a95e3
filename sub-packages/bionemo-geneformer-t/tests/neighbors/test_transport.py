"""Couplings move all mass forward in time, say what they moved, keep a cell's largest entries."""

from types import SimpleNamespace

import numpy as np
import pytest

from bionemo.geneformer_t.neighbors import transport
from bionemo.geneformer_t.neighbors.transport import EPSILON, RHO, couplings

pytest.importorskip("moscot", reason="pip install 'bionemo-geneformer-t[ot]'")

RNG = np.random.default_rng(0)
TIMES = np.repeat([0.0, 1.0], 40)
POINTS = RNG.normal(size=(80, 3)) + 3 * TIMES[:, None]


@pytest.mark.slow
def test_couplings_are_those_of_a_textbook_sinkhorn_iteration() -> None:
    """Scaling with a soft second marginal (Chizat et al. 2018): exponent rho / (rho + epsilon)."""
    whole, _ = couplings(POINTS, TIMES, num_neighbors=40)
    cost = ((POINTS[:40, None] - POINTS[None, 40:]) ** 2).sum(axis=2)
    kernel = np.exp(-cost / cost.mean() / EPSILON)
    left, right = np.ones(40), np.ones(40)
    for _ in range(5000):
        left = 1 / 40 / (kernel @ right)
        right = (1 / 40 / (left @ kernel)) ** (RHO / (RHO + EPSILON))
    expected = left[:, None] * kernel * right
    found = whole.toarray()[:40, 40:]
    # moscot stops when an iteration changes little: 1e-3
    np.testing.assert_allclose(found.sum(axis=1), expected.sum(axis=1), rtol=0.05)
    assert np.abs(found - expected).sum() < 0.05 * expected.sum()
    few, _ = couplings(POINTS, TIMES, num_neighbors=3)
    assert (few.toarray() > 0).sum(axis=1).tolist() == [3] * 40 + [0] * 40
    rows = np.sort(found, axis=1)[:, -3:].sum(axis=1)
    np.testing.assert_allclose(few.toarray()[:40].sum(axis=1), rows, rtol=1e-4)


@pytest.mark.slow
def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    couplings(POINTS, TIMES, num_neighbors=3)
    assert capsys.readouterr().out == ""


def test_every_cell_sends_all_its_mass_and_the_note_says_what_was_moved() -> None:
    """The second sample lacks half of the kinds: those left receive up to twice their share."""
    kinds = np.arange(80) % 2
    kinds[40:] = np.arange(40) % 8 == 0
    points = POINTS + np.array([6.0, 0.0, 0.0]) * kinds[:, None]
    coupled, notes = couplings(points, TIMES, num_neighbors=40)
    # moscot stops when an iteration changes little: 1e-3
    sent = coupled.sum(axis=1)[:40] * 40
    np.testing.assert_allclose(sent, 1, atol=0.02)
    received = np.asarray(coupled.sum(axis=0)).ravel()[40:] * 40
    low, high = np.quantile(received, (0.05, 0.95))
    assert low < 0.9
    assert high > 1.1
    assert len(notes) == 1
    assert notes[0].endswith(f"0 to 1: {coupled.sum():.1%} ({low:.2g} to {high:.2g})")
    assert coupled.sum() > 0.98


def test_mass_that_is_lost_would_be_said() -> None:
    solution = SimpleNamespace(b=np.array([0.1, 0.3]))
    assert transport._mass_moved(solution) == "40.0% (0.22 to 0.58)"
