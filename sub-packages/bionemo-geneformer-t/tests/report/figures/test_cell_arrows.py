import numpy as np
import pytest

from bionemo.geneformer_t.report.figures.cell_arrows import (
    grid_weights,
    shortened,
    shown_fraction,
)


@pytest.fixture
def coordinates():
    return np.random.default_rng(0).normal(size=(50, 2))


def test_grid_arrows_average_cells_nearby(coordinates) -> None:
    weights = grid_weights(coordinates)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    constant = np.tile([1.0, -2.0], (50, 1))
    np.testing.assert_allclose(weights @ constant, np.tile([1.0, -2.0], (len(weights), 1)))


def test_one_cell_still_gets_an_arrow() -> None:
    assert grid_weights(np.array([[1.0, 2.0]])).shape[0] >= 1


def test_long_arrows_are_drawn_shorter_and_short_ones_whole(coordinates) -> None:
    assert shown_fraction(np.full((9, 2), 1e-6), coordinates) == 1
    assert shown_fraction(np.full((9, 2), 10.0), coordinates) < 0.1


def test_long_arrows_keep_their_direction() -> None:
    moves = shortened(np.array([[3.0, 4.0], [0.1, 0.0]]), 1.0)
    np.testing.assert_allclose(moves, [[0.6, 0.8], [0.1, 0.0]])
