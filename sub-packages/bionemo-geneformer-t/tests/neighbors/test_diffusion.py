"""Diffusion pseudotime orders cells from the root, and says which cells it does not reach."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from bionemo.geneformer_t.neighbors import diffusion
from bionemo.geneformer_t.neighbors.diffusion import diffusion_pseudotime

RNG = np.random.default_rng(0)
ALONG = RNG.permutation(np.linspace(0, 1, 300))
POINTS = np.column_stack([np.cos(2 * ALONG), np.sin(2 * ALONG), 0.1 * RNG.normal(size=300)]) * 10
FIRST = int(ALONG.argmin())


def test_it_recovers_the_order_from_a_root_cell() -> None:
    pseudotime, root = diffusion_pseudotime(POINTS, root=FIRST)
    assert root == FIRST
    assert pseudotime[FIRST] == 0
    assert spearmanr(pseudotime, ALONG).statistic > 0.98


def test_the_root_of_a_cluster_is_its_cell_farthest_from_the_others() -> None:
    pseudotime, root = diffusion_pseudotime(POINTS, root_cells=ALONG < 0.3)
    assert ALONG[root] < 0.03
    assert spearmanr(pseudotime, ALONG).statistic > 0.98


def test_cells_that_no_walk_reaches_are_infinitely_late() -> None:
    apart = np.concatenate([POINTS, POINTS[:40] + 1000])
    pseudotime, _ = diffusion_pseudotime(apart, root=FIRST)
    assert np.isfinite(pseudotime[:300]).all()
    assert np.isinf(pseudotime[300:]).all()


def test_many_cells_are_placed_among_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = diffusion_pseudotime(POINTS, root=FIRST)
    monkeypatch.setattr(diffusion, "LANDMARKS", 120)
    apart = np.concatenate([POINTS, POINTS[:150] + 1000])
    pseudotime, root = diffusion_pseudotime(apart, root=FIRST)
    assert root == FIRST
    assert spearmanr(pseudotime[:300], whole).statistic > 0.98
    assert np.isinf(pseudotime[300:]).all()


@pytest.mark.parametrize(
    ("roots", "message"),
    [
        ({}, "either the root cell or"),
        ({"root": 1, "root_cells": ALONG < 0.3}, "either the root cell or"),
        ({"root_cells": ALONG < -1}, "no cell belongs to the root cluster"),
        ({"root_cells": ALONG < 2}, "all cells belong to the root cluster"),
    ],
)
def test_there_must_be_one_root(roots: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diffusion_pseudotime(POINTS, **roots)


def test_three_cells_are_too_few() -> None:
    with pytest.raises(ValueError, match="at least four cells; got 3"):
        diffusion_pseudotime(POINTS[:3], root=0)
