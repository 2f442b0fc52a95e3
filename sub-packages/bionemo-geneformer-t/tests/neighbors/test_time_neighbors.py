"""Successors in time are cells of the next time point, mutual neighbors first."""

import numpy as np
import pytest

from bionemo.geneformer_t.neighbors.time_neighbors import MUTUAL_REACH, time_neighbors

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(180, 4))
POINTS[:2] += 20  # two cells that are nobody's neighbor
TIMES = np.repeat([0.0, 2.0, 7.5], 60)


def ranks(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How many points are nearer to each query than each point."""
    distances = np.linalg.norm(queries[:, None] - points[None], axis=2)
    return distances.argsort(axis=1).argsort(axis=1)


def test_successors_are_the_nearest_mutual_neighbors_of_the_next_time_point() -> None:
    graph, notes = time_neighbors(POINTS, TIMES, num_neighbors=3)
    alone = 0
    for now, later in [(0.0, 2.0), (2.0, 7.5)]:
        current, following = np.flatnonzero(now == TIMES), np.flatnonzero(later == TIMES)
        there, back = (
            ranks(POINTS[a], POINTS[b]) for a, b in [(current, following), (following, current)]
        )
        mutual = (there < 3 * MUTUAL_REACH) & (back.T < 3 * MUTUAL_REACH)
        alone += (~mutual.any(axis=1)).sum()
        mutual[~mutual.any(axis=1)] = True
        for row, cell in enumerate(current):
            expected = following[np.where(mutual[row], there[row], 1000).argsort()]
            expected = expected[: min(3, mutual[row].sum())]
            successors, weights = graph.successors(int(cell))
            assert set(successors) == set(expected)
            assert successors[weights.argmax()] == expected[0]
            assert weights.sum() == pytest.approx(1)
    assert alone >= 2
    assert notes == [f"{alone} cells have no mutual neighbor at the next time point and got their "
                     "nearest cells instead"]  # fmt: skip


def test_only_the_last_time_point_has_no_successors() -> None:
    graph, _ = time_neighbors(POINTS, TIMES)
    assert ((graph.out_degree == 0) == (TIMES == 7.5)).all()


def test_cells_without_a_time_are_left_out_and_counted() -> None:
    graph, notes = time_neighbors(POINTS, np.where(np.arange(180) % 9, TIMES, np.nan))
    assert graph.out_degree[::9].sum() == 0
    assert not (graph.indices % 9 == 0).any()
    assert "20 of 180 cells have no time" in notes[0]


def test_fewer_cells_than_neighbors_and_identical_cells() -> None:
    graph, _ = time_neighbors(np.zeros((3, 2)), np.array([0.0, 1.0, 1.0]), num_neighbors=5)
    assert graph.successors(0)[0].tolist() == [1, 2]
    assert graph.successors(0)[1].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("times", "num_neighbors", "message"),
    [
        (np.zeros(180), 5, "at least two time points"),
        (np.full(180, np.nan), 5, "no time"),
        (TIMES, 0, "num_neighbors must be at least 1"),
    ],
)
def test_bad_input_is_refused(times: np.ndarray, num_neighbors: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        time_neighbors(POINTS, times, num_neighbors)
