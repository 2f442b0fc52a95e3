"""Successors in time are the nearest cells of the next time point."""

import numpy as np
import pytest

from bionemo.geneformer_t.neighbors.time_neighbors import time_neighbors

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(60, 4))
TIMES = np.repeat([0.0, 2.0, 7.5], 20)


def test_successors_are_the_nearest_of_the_next_time_point() -> None:
    graph = time_neighbors(POINTS, TIMES, num_neighbors=3)
    for cell in range(40):
        later = {0.0: 2.0, 2.0: 7.5}[TIMES[cell]]
        following = np.flatnonzero(later == TIMES)
        distances = np.linalg.norm(POINTS[following] - POINTS[cell], axis=1)
        nearest = following[np.argsort(distances)[:3]]
        successors, weights = graph.successors(cell)
        assert set(successors) == set(nearest)
        assert successors[weights.argmax()] == nearest[0]
        assert weights.sum() == pytest.approx(1)


def test_only_the_last_time_point_has_no_successors() -> None:
    graph = time_neighbors(POINTS, TIMES)
    assert ((graph.out_degree == 0) == (TIMES == 7.5)).all()


def test_fewer_cells_than_neighbors_and_identical_cells() -> None:
    graph = time_neighbors(np.zeros((3, 2)), np.array([0.0, 1.0, 1.0]), num_neighbors=5)
    assert graph.successors(0)[0].tolist() == [1, 2]
    assert graph.successors(0)[1].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("times", "num_neighbors", "message"),
    [
        (np.zeros(60), 5, "at least two time points"),
        (np.where(TIMES > 0, TIMES, np.nan), 5, "20 of 60"),
        (TIMES, 0, "num_neighbors must be at least 1"),
    ],
)
def test_bad_input_is_refused(times: np.ndarray, num_neighbors: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        time_neighbors(POINTS, times, num_neighbors)
