"""Couplings move mass forward in time, nearly all of it, and keep a cell's largest entries."""

import numpy as np
import pytest

from bionemo.geneformer_t.neighbors.transport import TAU, couplings

pytest.importorskip("moscot", reason="pip install 'bionemo-geneformer-t[ot]'")

RNG = np.random.default_rng(0)
TIMES = np.repeat([0.0, 1.0], 40)
POINTS = RNG.normal(size=(80, 3)) + 3 * TIMES[:, None]


def test_couplings_are_those_of_a_textbook_sinkhorn_iteration() -> None:
    """Scaling with soft marginals (Chizat et al. 2018), which tau = 1 would make exact."""
    whole, _ = couplings(POINTS, TIMES, num_neighbors=40)
    cost = ((POINTS[:40, None] - POINTS[None, 40:]) ** 2).sum(axis=2)
    kernel = np.exp(-cost / cost.mean() / 1e-2)
    left, right = np.ones(40), np.ones(40)
    for _ in range(5000):
        left = (1 / 40 / (kernel @ right)) ** TAU
        right = (1 / 40 / (left @ kernel)) ** TAU
    expected = left[:, None] * kernel * right
    found = whole.toarray()[:40, 40:]
    # moscot stops when an iteration changes little: 1e-3
    np.testing.assert_allclose(found.sum(axis=1), expected.sum(axis=1), rtol=0.05)
    assert np.abs(found - expected).sum() < 0.05 * expected.sum()
    few, _ = couplings(POINTS, TIMES, num_neighbors=3)
    assert (few.toarray() > 0).sum(axis=1).tolist() == [3] * 40 + [0] * 40
    rows = np.sort(found, axis=1)[:, -3:].sum(axis=1)
    np.testing.assert_allclose(few.toarray()[:40].sum(axis=1), rows, rtol=1e-4)


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    couplings(POINTS, TIMES, num_neighbors=3)
    assert capsys.readouterr().out == ""
