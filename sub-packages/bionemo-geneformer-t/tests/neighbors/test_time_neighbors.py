"""Successors in time are cells of the next time point, whichever method finds them."""

import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.neighbors.builder_input import (
    BuilderSettings,
    Built,
    Cells,
    TimeMethod,
)
from bionemo.geneformer_t.neighbors.time_neighbors import time_neighbors

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(60, 4))
TIMES = np.repeat([0.0, 2.0, 7.5], 20)


def built(
    points: np.ndarray, times: np.ndarray, number: int = 5, method: TimeMethod = "auto"
) -> Built:
    cells = Cells(obs=pd.DataFrame({"time": times}), points=points)
    settings = BuilderSettings(time_key="time", num_neighbors=number, time_method=method)
    return time_neighbors(cells, settings)


@pytest.mark.parametrize(
    "method",
    ["mutual", pytest.param("ot", marks=pytest.mark.slow)],  # moscot compiles
)
def test_successors_are_of_the_next_time_point_and_only_the_last_one_has_none(
    method: TimeMethod,
) -> None:
    if method == "ot":
        pytest.importorskip("moscot", reason="pip install 'bionemo-geneformer-t[ot]'")
    graph, notes = built(POINTS, TIMES, 5, method)
    assert ((graph.out_degree == 0) == (TIMES == 7.5)).all()
    now = np.repeat(TIMES, graph.out_degree)
    assert (TIMES[graph.indices] == np.where(now == 0, 2.0, 7.5)).all()
    np.testing.assert_allclose(graph.to_matrix().sum(axis=1)[TIMES < 7], 1, rtol=1e-6)
    assert notes[0] == f"time method: {method}"


def test_cells_without_a_time_are_left_out_and_counted() -> None:
    graph, notes = built(POINTS, np.where(np.arange(60) % 6, TIMES, np.nan), 5, "mutual")
    assert graph.out_degree[::6].sum() == 0
    assert not (graph.indices % 6 == 0).any()
    assert notes[1] == "10 of 60 cells have no time and no edges"


def test_fewer_cells_than_neighbors_and_identical_cells() -> None:
    graph, _ = built(np.zeros((3, 2)), np.array([0.0, 1.0, 1.0]), 5, "mutual")
    assert graph.successors(0)[0].tolist() == [1, 2]
    assert graph.successors(0)[1].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("times", "num_neighbors", "message"),
    [
        (np.zeros(60), 5, "at least two time points; all cells have 0"),
        (np.full(60, np.nan), 5, "no time"),
        (TIMES, 0, "num_neighbors must be at least 1"),
    ],
)
def test_bad_input_is_refused(times: np.ndarray, num_neighbors: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        built(POINTS, times, num_neighbors)
