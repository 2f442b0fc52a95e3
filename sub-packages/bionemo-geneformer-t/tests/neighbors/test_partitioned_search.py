"""The search among many points finds what brute force finds, whatever the data look like."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from bionemo.geneformer_t.neighbors import partitioned_search
from bionemo.geneformer_t.neighbors.partitioned_search import least_columns, nearest_in_lists


def brute_force(queries: np.ndarray, points: np.ndarray, number: int):
    apart = cdist(queries, points)
    order = apart.argsort(axis=1, kind="stable")[:, :number]
    return order, np.take_along_axis(apart, order, axis=1)


def blobs(number: int, rng: np.random.Generator) -> np.ndarray:
    """Cells of five types of very different size and spread, far from 0."""
    kind = rng.choice(5, number, p=[0.6, 0.3, 0.05, 0.04, 0.01])
    return 100 + rng.normal(size=(5, 20))[kind] * 5 + rng.normal(size=(number, 20)) * kind[:, None]


def noise(number: int, rng: np.random.Generator) -> np.ndarray:
    """The worst case: no structure, many dimensions."""
    return rng.normal(size=(number, 30))


def line(number: int, rng: np.random.Generator) -> np.ndarray:
    return rng.random((number, 1)) * np.arange(1, 4) + rng.normal(size=(number, 3)) * 0.01


@pytest.mark.parametrize("cells", [blobs, noise, line])
def test_nearly_all_nearest_points_are_found_and_their_distances_are_right(cells) -> None:
    rng = np.random.default_rng(0)
    points, queries = cells(4000, rng), cells(800, rng)
    expected, far = brute_force(queries, points, 10)
    found, distances = nearest_in_lists(queries, points, 10)
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(expected, found, strict=True)])
    assert recall >= 0.95  # of all queries; 0.96 of the sample
    right = np.sqrt(((queries[:, None] - points[found]) ** 2).sum(axis=2))
    np.testing.assert_allclose(distances, right, rtol=1e-4, atol=1e-5)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert (distances >= far * (1 - 1e-4) - 1e-5).all()


def test_few_points_are_compared_where_few_are_enough() -> None:
    """The share is found by recall: less on a line than in noise of many dimensions."""
    rng = np.random.default_rng(0)
    shares = []
    for cells in (line, noise):
        points = cells(4000, rng)
        lists = partitioned_search._Lists.of(points, points)
        shares.append(lists.share_that_is_enough(10, partitioned_search._Room()))
    assert shares[0] <= 0.07
    assert shares[1] >= 0.3


def test_queries_that_resemble_none_of_the_points_find_theirs() -> None:
    rng = np.random.default_rng(0)
    points = noise(3000, rng)
    queries = 100 * noise(50, rng)
    expected, _ = brute_force(queries, points, 5)
    found, _ = nearest_in_lists(queries, points, 5)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(expected, found, strict=True)]) > 0.9


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_points_are_copied_twice_in_float32_and_no_more(monkeypatch, kind) -> None:
    """Once as they are and once list after list; queries that are the points are no other copy."""
    monkeypatch.setattr(partitioned_search, "_VALUES_AT_ONCE", 1 << 18)
    monkeypatch.setattr(partitioned_search, "_TRAINED_ON", 4)
    points = np.random.default_rng(0).normal(size=(20_000, 60)).astype(kind)
    partitioned_search._Lists.of(points[:500], points[:500])  # imports
    tracemalloc.start()
    lists = partitioned_search._Lists.of(points, points)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.6 * lists.queries.nbytes


def test_queries_that_are_the_points_find_what_their_copies_find() -> None:
    points = blobs(3000, np.random.default_rng(0))
    for one, two in zip(
        nearest_in_lists(points, points, 5), nearest_in_lists(points.copy(), points, 5), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_copies_of_a_point_come_in_their_order() -> None:
    rng = np.random.default_rng(0)
    points = np.repeat(rng.normal(size=(500, 4)), 3, axis=0)
    found, distances = nearest_in_lists(points, points, 3)
    np.testing.assert_array_equal(found, np.arange(1500).reshape(-1, 3).repeat(3, axis=0))
    np.testing.assert_array_equal(distances, 0)


def test_of_more_copies_than_neighbors_some_are_found_in_their_order() -> None:
    """100 points, 40 times each: any three of the copies, each once and in ascending order."""
    rng = np.random.default_rng(0)
    kind = rng.permutation(np.repeat(np.arange(100), 40))
    points = rng.normal(size=(100, 4))[kind]
    found, distances = nearest_in_lists(points, points, 3)
    np.testing.assert_array_equal(distances, 0)
    np.testing.assert_array_equal(kind[found], kind[:, None].repeat(3, axis=1))
    assert (np.diff(found, axis=1) > 0).all()


def test_points_that_are_all_the_same_are_found() -> None:
    found, distances = nearest_in_lists(np.ones((40, 2)), np.ones((400, 2)), 5)
    assert all(len(set(row)) == 5 for row in found.tolist())
    np.testing.assert_array_equal(distances, 0)


def test_any_number_of_threads_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    points = blobs(6000, rng).astype(np.float32)
    results, workers = [], []
    pool = partitioned_search.ThreadPoolExecutor

    def noted(number: int):
        workers.append(number)
        return pool(number)

    monkeypatch.setattr(partitioned_search, "ThreadPoolExecutor", noted)
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            results.append(nearest_in_lists(points, points, 12))
    assert workers == [1, 2]
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 400), st.integers(0, 5), st.booleans())
def test_least_columns_are_those_of_a_sort(
    number: int, num_columns: int, seed: int, has_ties: bool
) -> None:
    number = min(number, num_columns)
    values = np.random.default_rng(seed).normal(size=(3, num_columns)).astype(np.float32)
    values = values.round() if has_ties else values
    columns = least_columns(values, number)
    assert all(len(set(row)) == number for row in columns.tolist())
    least = np.sort(np.take_along_axis(values, columns, axis=1), axis=1)
    np.testing.assert_array_equal(least, np.sort(values, axis=1)[:, :number])
