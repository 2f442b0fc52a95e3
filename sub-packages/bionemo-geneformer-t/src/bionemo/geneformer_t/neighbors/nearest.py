"""Nearest points and how close they are: what several builders share."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def nearest(
    queries: Float[ndarray, "query component"],
    points: Float[ndarray, "point component"],
    num_neighbors: int,
) -> tuple[Int[ndarray, "query neighbor"], Float[ndarray, "query neighbor"]]:
    """The nearest points of each query and their Euclidean distances, nearest first.

    Raises:
        ValueError: `num_neighbors` is not positive.
    """
    from sklearn.neighbors import NearestNeighbors

    if num_neighbors < 1:
        raise ValueError(f"num_neighbors must be at least 1; got {num_neighbors}")
    index = NearestNeighbors(n_neighbors=min(num_neighbors, len(points))).fit(points)
    distances, found = index.kneighbors(queries)
    return found.astype(np.int64), distances.astype(np.float64)


def closeness(
    distances: Float[ndarray, "query neighbor"],
) -> Float[ndarray, "query neighbor"]:
    """Weights that fall with distance and sum to 1 for each query.

    A Gaussian whose width is each query's mean distance, measured from its nearest neighbor
    (after the local scaling of Zelnik-Manor and Perona, 2004), so that weights mean the same in
    dense and sparse regions and never vanish altogether.
    """
    beyond = distances - distances.min(axis=1, keepdims=True)
    width = np.maximum(beyond.mean(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    weights: Float[ndarray, "query neighbor"] = np.exp(-0.5 * (beyond / width) ** 2)
    return np.maximum(weights, 1e-12) / weights.sum(axis=1, keepdims=True)
