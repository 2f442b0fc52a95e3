"""Successors lie within the window, are the nearest there, and do not jump to other branches."""

import numpy as np
import pytest

from bionemo.geneformer_t.neighbors import forward_window
from bionemo.geneformer_t.neighbors.forward_window import forward_neighbors, places

from ._asserts import assert_sound

RNG = np.random.default_rng(0)
PSEUDOTIME = RNG.permutation(200) / 10.0
POINTS = np.column_stack([PSEUDOTIME, RNG.normal(0, 1, (200, 2))])


def brute_force(place: np.ndarray, allowed: np.ndarray, step: float, num: int) -> list[list[int]]:
    successors = []
    for cell in range(len(place)):
        window = (place > place[cell] + step / 2) & (place <= place[cell] + 1.5 * step)
        inside = np.flatnonzero(window & allowed[cell])
        distances = np.linalg.norm(POINTS[inside] - POINTS[cell], axis=1)
        successors.append(sorted(inside[distances.argsort()[:num]].tolist()))
    return successors


@pytest.mark.parametrize(("step", "num"), [(0.1, 5), (0.3, 3), (0.02, 50)])
def test_they_are_the_nearest_in_the_window(
    step: float, num: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_window, "_LONG", np.inf)
    graph, notes = forward_neighbors(POINTS, PSEUDOTIME, step=step, num_neighbors=num)
    expected = brute_force(places(PSEUDOTIME), np.ones((200, 200), dtype=bool), step, num)
    assert [graph.successors(cell)[0].tolist() for cell in range(200)] == expected
    assert notes == []


def test_groups_are_followed_only_by_groups_that_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward_window, "_LONG", np.inf)
    group = RNG.integers(0, 3, 200)
    may_follow = np.array([[True, True, False], [False, True, False], [False, True, True]])
    graph, _ = forward_neighbors(
        POINTS, PSEUDOTIME, step=0.2, num_neighbors=4, group=group, may_follow=may_follow
    )
    allowed = may_follow[group][:, group]
    expected = brute_force(places(PSEUDOTIME), allowed, 0.2, 4)
    assert [graph.successors(cell)[0].tolist() for cell in range(200)] == expected


def test_only_the_order_of_pseudotime_counts() -> None:
    straight, _ = forward_neighbors(POINTS, PSEUDOTIME, step=0.1, num_neighbors=5)
    stretched, _ = forward_neighbors(POINTS, np.exp(PSEUDOTIME), step=0.1, num_neighbors=5)
    assert (straight.to_matrix() != stretched.to_matrix()).nnz == 0


def test_equal_pseudotimes_are_not_ahead_of_each_other() -> None:
    tied = np.floor(PSEUDOTIME)
    graph, _ = forward_neighbors(POINTS, tied, step=0.1, num_neighbors=5)
    rows = np.repeat(np.arange(200), graph.out_degree)
    assert (tied[graph.indices] > tied[rows]).all()


def test_past_the_end_of_a_branch_there_are_no_successors() -> None:
    along = np.concatenate([np.linspace(0, 1, 100), np.linspace(0, 2, 200)])
    side = np.repeat([0.0, 50.0], [100, 200])
    points = np.column_stack([along * 10, side, RNG.normal(0, 0.3, 300)])
    graph, notes = forward_neighbors(points, along, step=0.1, num_neighbors=5)
    assert_sound(graph, 300, 5)
    rows = np.repeat(np.arange(300), graph.out_degree)
    assert (side[rows] == side[graph.indices]).all()
    at_the_end = (graph.out_degree == 0) & (side == 0)
    assert 0 < at_the_end.sum() < 20
    assert (along[at_the_end] > 0.8).all()
    assert "too far away, as past the end of a branch" in notes[0]


def test_cells_without_pseudotime_are_left_out_and_counted() -> None:
    missing = np.where(np.arange(200) % 10 == 0, [np.nan, np.inf] * 100, PSEUDOTIME)
    graph, notes = forward_neighbors(POINTS, missing, step=0.1, num_neighbors=5)
    assert graph.out_degree[::10].sum() == 0
    assert not (graph.indices % 10 == 0).any()
    assert notes[0] == "20 of 200 cells have no finite pseudotime and no edges"


@pytest.mark.parametrize("step", [0.0, 1.0, -0.1])
def test_a_step_is_a_fraction_of_the_cells(step: float) -> None:
    with pytest.raises(ValueError, match="fraction of the cells"):
        forward_neighbors(POINTS, PSEUDOTIME, step=step, num_neighbors=5)


@pytest.mark.parametrize("pseudotime", [np.zeros(200), np.full(200, np.nan)])
def test_cells_must_differ_in_pseudotime(pseudotime: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least two different pseudotimes"):
        forward_neighbors(POINTS, pseudotime, step=0.1, num_neighbors=5)
