"""Cells of a large graph are placed by those that are drawn, and steps point to successors."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.report.figures import graph_map as module
from bionemo.geneformer_t.report.figures.graph_map import graph_map, shared_map, steps_on_map

POINTS = np.random.default_rng(0).normal(size=(60, 5))
PLACES = POINTS[:, :2] * 3


@pytest.fixture
def ring() -> NeighborGraph:
    """Cell i is followed by i + 1 and, with a third of the weight, i + 2; the last two by none."""
    matrix = sp.eye_array(60, k=1) * 3 + sp.eye_array(60, k=2)
    matrix = matrix.tolil()
    matrix[58:] = 0
    return NeighborGraph.from_matrix(matrix.tocsr())[0]


def test_a_map_of_the_file_is_used_and_steps_end_at_mean_successors(ring) -> None:
    where = graph_map(POINTS, {"X_umap": PLACES, "X_pca": POINTS}, np.random.default_rng(0))
    assert where.name == "UMAP"
    starts, ends = steps_on_map(ring, where)
    np.testing.assert_allclose(starts, PLACES[:58])
    np.testing.assert_allclose(ends, 0.75 * PLACES[1:59] + 0.25 * PLACES[2:60])


def test_few_cells_are_placed_by_their_components(ring) -> None:
    where = graph_map(POINTS, {}, np.random.default_rng(0))
    assert where.name == "principal components"
    assert steps_on_map(ring, where)[0].shape == (58, 2)


def test_undrawn_cells_stand_at_the_drawn_cell_they_resemble(ring, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", 20)
    where = graph_map(POINTS, {}, np.random.default_rng(0))
    assert len(where.drawn) == len(where.coordinates) == 20
    places = where.places(np.arange(60))
    np.testing.assert_allclose(places[where.drawn], where.coordinates)
    for cell in range(60):
        nearest = np.linalg.norm(POINTS[where.drawn] - POINTS[cell], axis=1).argmin()
        np.testing.assert_allclose(places[cell], where.coordinates[nearest])
    starts, ends = steps_on_map(ring, where)
    assert len(starts) == len(ends) == (where.drawn < 58).sum()


def test_no_coordinates_no_map() -> None:
    assert graph_map(None, {}, np.random.default_rng(0)) is None


def test_splits_share_one_map(ring, monkeypatch) -> None:
    asked = []

    def first_two(points, seed, few):
        asked.append(points)
        return "first two", points[:, :2]

    monkeypatch.setattr(module, "in_two_dimensions", first_two)
    splits = {"train": POINTS, "val": POINTS[:7] + 1, "test": POINTS[:20] + 2}
    found = shared_map(splits, np.random.default_rng(0))
    assert [len(points) for points in asked] == [87]
    for name, where in found.items():
        assert where.num_cells == len(where.drawn) == len(splits[name])
        np.testing.assert_array_equal(where.coordinates, splits[name][:, :2])
    assert len(steps_on_map(ring, found["train"])[0]) == 58


@pytest.mark.parametrize(
    ("most", "drawn"), [(30, [12, 6, 12]), (60, [34, 6, 20]), (15, [5, 5, 5]), (90, [60, 6, 20])]
)
def test_small_splits_are_drawn_whole_and_large_ones_alike(monkeypatch, most, drawn) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", most)
    splits = {"train": POINTS, "val": POINTS[:6], "test": POINTS[:20]}
    found = shared_map(splits, np.random.default_rng(0))
    assert [len(where.drawn) for where in found.values()] == drawn
    for name, where in found.items():
        assert (np.diff(where.drawn) > 0).all()
        assert where.drawn[-1] < len(splits[name])
