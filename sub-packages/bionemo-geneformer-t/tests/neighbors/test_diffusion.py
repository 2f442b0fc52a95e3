"""Diffusion pseudotime orders cells from the root, copies alike; some it does not reach."""

import anndata
import numpy as np
import pytest
import scanpy as sc
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


def with_copies(copies: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The points where some cells are exact copies of others, and how far along the cells are."""
    points, along = POINTS.astype(np.float32), ALONG.copy()
    for copy, original in copies.items():
        points[copy], along[copy] = points[original], along[original]
    return points, along


LAST = int(ALONG.argmax())


@pytest.mark.parametrize(
    "copies",
    [
        {0: 30},
        {FIRST: LAST},
        {7: 20, 8: 20, 9: 8},  # copies of copies
        {cell: cell + 150 for cell in range(150)},
        dict.fromkeys(range(100), 200),
    ],
    ids=["one", "two ends", "several of one", "every cell twice", "a hundred of one"],
)
def test_copies_are_one_cell_of_the_walk(copies: dict[int, int]) -> None:
    points, along = with_copies(copies)
    root = int(along.argmin())
    pseudotime, _ = diffusion_pseudotime(points, root=root)
    assert spearmanr(pseudotime, along).statistic > 0.995
    for copy, original in copies.items():
        assert pseudotime[copy] == pseudotime[original]
    once = np.unique(points, axis=0, return_index=True)[1]
    once.sort()
    alone, _ = diffusion_pseudotime(
        points[once], root=int((points[once] == points[root]).all(1).argmax())
    )
    assert (pseudotime[once] == alone).all()


@pytest.mark.parametrize("row", [0, 10, 50, 150, 250])
def test_one_copy_does_not_disturb_the_order_of_a_noisy_line(row: int) -> None:
    """Where scanpy 1.11.5 computes the kernel, three of these five have a correlation of 0.95."""
    rng, time = np.random.default_rng(0), np.linspace(0, 1, 300)
    points = np.column_stack([time * 10, rng.normal(size=(300, 9)) * 0.3]).astype(np.float32)
    points[row], time[row] = points[row + 30], time[row + 30]
    pseudotime, _ = diffusion_pseudotime(points, root=299)
    assert spearmanr(pseudotime, time).statistic < -0.995


def test_a_root_may_be_a_copy_and_so_may_members_of_a_root_cluster() -> None:
    points, along = with_copies({5: FIRST, 250: FIRST, 60: 61})
    for root in (5, 250, FIRST):
        pseudotime, found = diffusion_pseudotime(points, root=root)
        assert found == root
        assert pseudotime[[5, 250, FIRST]].tolist() == [0, 0, 0]
    inside = along < 0.3
    inside[250] = False  # a copy of a member stands outside the cluster
    pseudotime, found = diffusion_pseudotime(points, root_cells=inside)
    assert inside[found]
    assert spearmanr(pseudotime, along).statistic > 0.98


def test_copies_among_landmarks_and_others_are_placed_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diffusion, "LANDMARKS", 120)
    copies = {cell: cell + 31 for cell in range(0, 250, 25)}
    points, along = with_copies(copies)
    pseudotime, _ = diffusion_pseudotime(points, root=FIRST)
    assert all(pseudotime[copy] == pseudotime[original] for copy, original in copies.items())
    assert spearmanr(pseudotime, along).statistic > 0.98


def test_minus_zero_is_a_copy_of_zero() -> None:
    points = POINTS.astype(np.float32)
    points[3], points[4] = [0.0, 8.0, 0.0], [-0.0, 8.0, -0.0]
    pseudotime, _ = diffusion_pseudotime(points, root=FIRST)
    assert pseudotime[3] == pseudotime[4]


@pytest.mark.parametrize("near", [0.0, 1e-6, 1e-3])
def test_the_kernel_is_symmetric_also_among_cells_that_are_nearly_copies(near: float) -> None:
    points = np.column_stack([POINTS, RNG.normal(size=(300, 20))]).astype(np.float32)
    points[:20] = points[20:40] + np.float32(near) * RNG.random((20, 23)).astype(np.float32)
    points = np.unique(points, axis=0)
    kernel = diffusion.gaussian_kernel(points, 14)
    assert abs(kernel - kernel.T).max() == 0
    assert kernel.diagonal().sum() == 0
    assert (kernel.getnnz(axis=1) >= 14).all()
    assert kernel.max() <= 1
    values = diffusion._diffusion_map(points).uns["diffmap_evals"]
    assert values[0] == pytest.approx(1, abs=1e-5)


def test_without_copies_the_kernel_is_that_of_scanpy() -> None:
    cells = anndata.AnnData(obsm={"points": POINTS.astype(np.float32)})
    sc.pp.neighbors(cells, n_neighbors=15, use_rep="points", method="gauss")
    kernel = diffusion.gaussian_kernel(POINTS.astype(np.float32), 14)
    # its search for neighbors rounds distances otherwise
    assert abs(kernel - cells.obsp["connectivities"]).max() < 1e-4


def test_copies_do_not_make_three_cells_enough() -> None:
    with pytest.raises(ValueError, match="at least four cells; got 3 beside 6 exact copies"):
        diffusion_pseudotime(np.repeat(POINTS[:3], 3, axis=0), root=0)
