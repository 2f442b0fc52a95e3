"""Nearest points and weights by distance, for several builders.

Exact while that is cheap, which also makes builders independent of the order of the cells; nearly
so where a search would compare more pairs than that (`partitioned_search.py`), so that a million
cells need no cells x cells matrix.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.neighbors.partitioned_search import nearest_in_lists

EXACT_PAIRS = 1_000_000_000
"""Up to so many pairs of points are compared one by one: a few seconds of a core."""


def nearest(
    queries: Float[ndarray, "query component"],
    points: Float[ndarray, "point component"],
    num_neighbors: int,
) -> tuple[Int[ndarray, "query neighbor"], Float[ndarray, "query neighbor"]]:
    """The nearest points of each query and their Euclidean distances, nearest first.

    Raises:
        ValueError: `num_neighbors` is not positive.
    """
    check_num_neighbors(num_neighbors)
    num = min(num_neighbors, len(points))
    # lists help only where few of the points are searched for
    few = len(queries) * len(points) <= EXACT_PAIRS or 4 * num > len(points)
    search = _exact if few else nearest_in_lists
    found, distances = search(queries, points, num)
    return found.astype(np.int64), distances.astype(np.float64)


def nearest_others(
    points: Float[ndarray, "point component"], num_neighbors: int
) -> tuple[Int[ndarray, "point neighbor"], Float[ndarray, "point neighbor"]]:
    """The nearest other points of each point, nearest first.

    Raises:
        ValueError: `num_neighbors` is not positive, or there are fewer than two points.
    """
    check_num_neighbors(num_neighbors)
    if len(points) < 2:
        raise ValueError(f"nearest neighbors need at least two cells; got {len(points)}")
    found, distances = nearest(points, points, num_neighbors + 1)
    itself = found == np.arange(len(points))[:, None]
    # identical points may come before the point itself, or push it out
    itself[~itself.any(axis=1), -1] = True
    shape = (len(points), found.shape[1] - 1)
    return found[~itself].reshape(shape), distances[~itself].reshape(shape)


def closeness(
    distances: Float[ndarray, "query neighbor"],
) -> Float[ndarray, "query neighbor"]:
    """Weights that fall with distance and sum to 1 for each query; infinite distances get none.

    A Gaussian whose width is each query's mean distance, measured from its nearest neighbor
    (after the local scaling of Zelnik-Manor and Perona, 2004), so that weights mean the same in
    dense and sparse regions and never vanish altogether.
    """
    there = np.isfinite(distances)
    first = distances.min(axis=1, keepdims=True)
    beyond = np.where(there, distances - np.where(np.isfinite(first), first, 0), 0)
    tiny = np.finfo(np.float64).tiny
    mean = beyond.sum(axis=1, keepdims=True) / np.maximum(there.sum(axis=1, keepdims=True), 1)
    weights = np.exp(-0.5 * (beyond / np.maximum(mean, tiny)) ** 2)
    weights = np.where(there, np.maximum(weights, 1e-12), 0)
    scaled: Float[ndarray, "query neighbor"] = weights / np.maximum(
        weights.sum(axis=1, keepdims=True), tiny
    )
    return scaled


def check_num_neighbors(num_neighbors: int) -> None:
    """Refuse a number of neighbors that is not positive.

    Raises:
        ValueError: With the number.
    """
    if num_neighbors < 1:
        raise ValueError(f"num_neighbors must be at least 1; got {num_neighbors}")


def _exact(queries: ndarray, points: ndarray, num: int) -> tuple[ndarray, ndarray]:
    from sklearn.neighbors import NearestNeighbors

    distances, found = NearestNeighbors(n_neighbors=num).fit(points).kneighbors(queries)
    return found, distances
