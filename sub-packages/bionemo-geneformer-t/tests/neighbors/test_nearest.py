"""Nearest neighbors are exact for few cells, nearly so for many."""

import numpy as np
import pytest

from bionemo.geneformer_t.neighbors import nearest
from bionemo.geneformer_t.neighbors.forward_window import forward_neighbors
from bionemo.geneformer_t.neighbors.nearest import closeness, nearest_others

RNG = np.random.default_rng(0)


def test_others_never_hold_the_cell_itself_even_among_identical_cells() -> None:
    points = np.zeros((30, 3))
    found, distances = nearest_others(points, 4)
    assert found.shape == (30, 4)
    assert (found != np.arange(30)[:, None]).all()
    assert all(len(set(row)) == 4 for row in found.tolist())
    assert (distances == 0).all()


def test_few_cells_have_all_others_as_neighbors() -> None:
    found, _ = nearest_others(RNG.normal(size=(4, 2)), 10)
    assert [sorted(row) for row in found.tolist()] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


@pytest.mark.parametrize("among_themselves", [True, False])
def test_the_search_among_many_cells_finds_nearly_the_same(
    among_themselves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = RNG.normal(size=(600, 5))
    queries = points if among_themselves else RNG.normal(size=(100, 5))
    exact, exact_distances = nearest.nearest(queries, points, 10)
    monkeypatch.setattr(nearest, "EXACT_PAIRS", 0)
    found, distances = nearest.nearest(queries, points, 10)
    shared = np.mean([len(set(a) & set(b)) for a, b in zip(exact, found, strict=True)]) / 10
    assert shared > 0.95
    same = exact == found
    np.testing.assert_allclose(distances[same], exact_distances[same], rtol=1e-5, atol=1e-5)


def test_the_search_among_many_cells_gives_nearly_the_same_graph_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pseudotime = RNG.random(1500)
    points = np.column_stack([pseudotime * 20, RNG.normal(0, 1, (1500, 2))])
    exact, _ = forward_neighbors(points, pseudotime, step=0.8, num_neighbors=5)
    # one block of cells has more pairs
    monkeypatch.setattr(nearest, "EXACT_PAIRS", 400_000)
    found, _ = forward_neighbors(points, pseudotime, step=0.8, num_neighbors=5)
    shared = (exact.to_matrix() > 0).multiply(found.to_matrix() > 0).nnz
    assert shared / exact.num_edges > 0.95


def test_weights_fall_with_distance_and_sum_to_one() -> None:
    distances = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 4.0], [3.0, np.inf, np.inf]])
    weights = closeness(distances)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights[0], 1 / 3)
    assert weights[1, 0] > weights[1, 1] > weights[1, 2] > 0
    assert weights[2].tolist() == [1, 0, 0]


def test_weights_do_not_depend_on_the_unit_of_distance() -> None:
    distances = np.sort(RNG.random((5, 4)), axis=1)
    np.testing.assert_allclose(closeness(distances), closeness(distances * 1000))


def test_cells_without_any_neighbor_get_no_weight() -> None:
    assert closeness(np.full((2, 3), np.inf)).tolist() == [[0, 0, 0], [0, 0, 0]]
