import numpy as np
import pytest
from matplotlib.image import imread

from bionemo.geneformer_t.evaluate.arrows import Arrows
from bionemo.geneformer_t.report.next_cells import grid_weights, next_cell_arrows


@pytest.fixture
def coordinates():
    return np.random.default_rng(0).normal(size=(50, 2))


@pytest.mark.parametrize(
    "colors", [None, np.arange(50.0), np.repeat(["a", "b"], 25)], ids=["none", "number", "label"]
)
def test_two_panels_are_drawn(colors, coordinates, tmp_path) -> None:
    cells = np.arange(30)
    arrows = Arrows(
        cells=cells,
        true_ends=coordinates[cells] + 0.1,
        predicted_ends=coordinates[cells] + 0.2,
        cosine=1.0,
    )
    path = next_cell_arrows(
        arrows, coordinates, tmp_path / "a.png", colors=colors, color_name="kind", map_name="UMAP"
    )
    assert imread(path).shape[1] > 1000


def test_grid_arrows_average_cells_nearby(coordinates) -> None:
    weights = grid_weights(coordinates)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    constant = np.tile([1.0, -2.0], (50, 1))
    np.testing.assert_allclose(weights @ constant, np.tile([1.0, -2.0], (len(weights), 1)))


def test_one_cell_still_gets_an_arrow() -> None:
    assert grid_weights(np.array([[1.0, 2.0]])).shape[0] >= 1
