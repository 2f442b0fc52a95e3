"""Nearest points among very many: points in lists around centres, of which each query scans some.

An inverted file (Jegou et al., 2011): points are assigned to the nearest of some centres that
k-means finds, and a query is compared with the points of the nearest lists alone. Queries of one
list scan the same lists, so that comparing them is a matrix product. How many points are scanned is
found out on a sample of the queries, whose exact neighbors are known: so many that `LEAST_RECALL`
of these are found.

Work is divided in the same way for any number of threads, and each part is computed by one, so the
result does not depend on it.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

LEAST_RECALL = 0.96
"""Fraction of the nearest points of a sample of queries that must be found."""
_SHARES = (0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.22, 0.33, 0.5, 0.7)
"""Fractions of the points to scan, of which the least is taken that finds enough; else all."""
_SAMPLED_LISTS, _SAMPLED_QUERIES = 32, 16
"""The sample: so many lists, and queries of each."""
_TRAINED_ON = 40
"""Points for each list that k-means is fitted to."""
_ITERATIONS = 10
_LEAST_SCANNED = 4
"""Points that are scanned for each neighbor, at least."""
_SPARE = 4
"""Candidates beyond the number of neighbors, since products are rounded more than differences."""
_VALUES_AT_ONCE = 1 << 22
"""Squared distances that a thread holds: 16 MiB."""


def nearest_in_lists(
    queries: Float[ndarray, "query component"],
    points: Float[ndarray, "point component"],
    number: int,
) -> tuple[Int[ndarray, "query neighbor"], Float[ndarray, "query neighbor"]]:
    """Nearly the nearest points of each query and their Euclidean distances, nearest first.

    Of the points that are found at the same distance, the one with the lower row comes first. Where
    more points are at the distance of the last neighbor than there are places left, any of these
    are found: of many copies of a point not always the first ones, nor always the point itself.

    Args:
        queries: Compared with the points; the same object where they are the points.
        points: At least as many as neighbors.
        number: Of neighbors.
    """
    from threadpoolctl import threadpool_info, threadpool_limits

    blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    found = np.empty((len(queries), number), dtype=np.int64)
    distances = np.empty((len(queries), number), dtype=np.float32)
    room = _Room()  # given back with the result
    with threadpool_limits(1), ThreadPoolExecutor(max(blas, default=1)) as threads:
        lists = _Lists.of(queries, points)
        share = lists.share_that_is_enough(number, room)

        def search(list_number: int) -> None:
            rows = lists.queries_of(list_number)
            if len(rows):
                scanned = lists.scanned_by(list_number, share, number)
                found[rows], distances[rows] = lists.nearest(rows, scanned, number, room)

        for _ in threads.map(search, range(len(lists.near))):
            pass  # what a thread raises is raised here
    return found, distances


class _Room(threading.local):
    """Memory that a thread uses again and again: fresh pages take longer than the products."""

    def __init__(self) -> None:
        self._values = np.empty(0, dtype=np.float32)

    def of(self, num_rows: int, num_columns: int) -> Float[ndarray, "row column"]:
        """Room for a matrix, whatever it holds."""
        if len(self._values) < num_rows * num_columns:
            self._values = np.empty(max(num_rows * num_columns, _VALUES_AT_ONCE), dtype=np.float32)
        return self._values[: num_rows * num_columns].reshape(num_rows, num_columns)


@dataclass(frozen=True, kw_only=True)
class _Lists:
    """Points and queries, by the nearest centre of each."""

    points: Float[ndarray, "point component_and_square"]
    """List after list, relative to their mean, and the squared length of each."""
    rows: Int[ndarray, " point"]
    """Where each of these was."""
    bounds: Int[ndarray, " lists_plus_1"]
    queries: Float[ndarray, "query component"]
    """In their own order, relative to the same mean."""
    query_rows: Int[ndarray, " query"]
    query_bounds: Int[ndarray, " lists_plus_1"]
    near: Int[ndarray, "list rank"]
    """The lists that are nearest to the queries of each list, the nearest first."""

    @classmethod
    def of(cls, queries: ndarray, points: ndarray) -> "_Lists":
        """Make lists of points, about as many as each has points."""
        mean = points.mean(axis=0, dtype=np.float64)
        centred_points = _centred(points, mean)
        centred_queries = centred_points if queries is points else _centred(queries, mean)
        centres = _centres(centred_points)
        rows, bounds = _by_list(_nearest_centre(centred_points, centres), len(centres))
        if queries is points:
            query_rows, query_bounds = rows, bounds
        else:
            list_of = _nearest_centre(centred_queries, centres)
            query_rows, query_bounds = _by_list(list_of, len(centres))
        middle = centres.copy()
        for list_number, (start, stop) in enumerate(pairwise(query_bounds)):
            if stop > start:
                middle[list_number] = centred_queries[query_rows[start:stop]].mean(axis=0)
        return cls(
            points=_with_squares(centred_points, rows),
            rows=rows,
            bounds=bounds,
            queries=centred_queries,
            query_rows=query_rows,
            query_bounds=query_bounds,
            near=_squared_distances(middle, centres).argsort(axis=1, kind="stable"),
        )

    def queries_of(self, list_number: int) -> Int[ndarray, " _"]:
        """Rows of the queries of a list."""
        start, stop = self.query_bounds[list_number : list_number + 2]
        return self.query_rows[start:stop]

    def scanned_by(self, list_number: int, share: float, number: int) -> Int[ndarray, " _"]:
        """Places of the points that the queries of a list are compared with."""
        near = self.near[list_number]
        wanted = max(share * len(self.points), _LEAST_SCANNED * number)
        upto = np.diff(self.bounds)[near].cumsum()
        visited = np.sort(near[: np.searchsorted(upto, wanted) + 1])
        return np.concatenate([np.arange(self.bounds[i], self.bounds[i + 1]) for i in visited])

    def share_that_is_enough(self, number: int, room: _Room) -> float:
        """The least fraction of the points with which a sample of queries finds its neighbors."""
        filled = np.flatnonzero(np.diff(self.query_bounds))
        lists = filled[_evenly(len(filled), _SAMPLED_LISTS)].tolist()
        every = np.arange(len(self.points))
        samples, furthest = [], []
        for list_number in lists:
            rows = self.queries_of(list_number)
            samples.append(rows[_evenly(len(rows), _SAMPLED_QUERIES)])
            furthest.append(self.nearest(samples[-1], every, number, room)[1][:, -1:])
        for share in _SHARES:
            is_found = []
            for list_number, sample, distance in zip(lists, samples, furthest, strict=True):
                scanned = self.scanned_by(list_number, share, number)
                is_found.append(self.nearest(sample, scanned, number, room)[1] <= distance)
            if np.concatenate(is_found).mean() >= LEAST_RECALL:
                return share
        return 1.0

    def nearest(
        self,
        query_rows: Int[ndarray, " query"],
        scanned: Int[ndarray, " place"],
        number: int,
        room: _Room,
    ) -> tuple[Int[ndarray, "query neighbor"], Float[ndarray, "query neighbor"]]:
        """The nearest of some points of some queries, and their distances."""
        points, rows = self.points[scanned], self.rows[scanned]
        found = np.empty((len(query_rows), number), dtype=np.int64)
        distances = np.empty((len(query_rows), number), dtype=np.float32)
        step = max(1, _VALUES_AT_ONCE // len(points))
        for start in range(0, len(query_rows), step):
            block = self.queries[query_rows[start : start + step]]
            # squared distances, less the squared length of the query
            factors = np.column_stack([-2 * block, np.ones(len(block), dtype=np.float32)])
            values = room.of(len(block), len(points))
            np.matmul(factors, points.T, out=values)
            columns = least_columns(values, min(number + _SPARE, len(points)))
            # by their rows, so that sorting by distance leaves equal ones in that order
            columns = np.take_along_axis(columns, rows[columns].argsort(axis=1), axis=1)
            differences = points[columns, :-1] - block[:, None]
            lengths = np.sqrt(np.einsum("qnc,qnc->qn", differences, differences))
            order = lengths.argsort(axis=1, kind="stable")[:, :number]
            part = slice(start, start + len(block))
            found[part] = rows[np.take_along_axis(columns, order, axis=1)]
            distances[part] = np.take_along_axis(lengths, order, axis=1)
        return found, distances


def least_columns(values: Float[ndarray, "row column"], number: int) -> Int[ndarray, "row least"]:
    """Columns of the least values of each row, in no order.

    The columns are dealt into groups. The least values lie in the groups with the least minima, and
    only these are searched.
    """
    num_rows, num_columns = values.shape
    num_groups = int(np.sqrt(num_columns * number))
    depth = -(-num_columns // num_groups)
    if depth < 3:  # nothing is saved
        return _least(values, number)
    full = num_columns // num_groups * num_groups
    minima = values[:, :full].reshape(num_rows, -1, num_groups).min(axis=1)
    rest = minima[:, : num_columns - full]
    np.minimum(rest, values[:, full:], out=rest)
    groups = _least(minima, number)
    columns = (groups[:, :, None] + np.arange(depth) * num_groups).reshape(num_rows, -1)
    is_there = columns < num_columns
    columns[~is_there] = 0
    chosen = np.where(is_there, np.take_along_axis(values, columns, axis=1), np.inf)
    return np.take_along_axis(columns, _least(chosen, number), axis=1)


def _least(values: ndarray, number: int) -> Int[ndarray, "row least"]:
    if number >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, number - 1, axis=1)[:, :number]


def _centred(
    values: ndarray, mean: Float[ndarray, " component"]
) -> Float[ndarray, "row component"]:
    """Less the mean, in float32, without a copy in float64."""
    centred = np.empty(values.shape, dtype=np.float32)
    return np.subtract(values, mean, out=centred, casting="same_kind")


def _with_squares(
    points: Float[ndarray, "point component"], rows: Int[ndarray, " point"]
) -> Float[ndarray, "point component_and_square"]:
    """Points in another order, and the squared length of each, without another copy of them."""
    extended = np.empty((len(points), points.shape[1] + 1), dtype=np.float32)
    step = max(1, _VALUES_AT_ONCE // extended.shape[1])
    for start in range(0, len(rows), step):
        block = points[rows[start : start + step]]
        extended[start : start + step, :-1] = block
        extended[start : start + step, -1] = (block**2).sum(axis=1)
    return extended


def _centres(points: Float[ndarray, "point component"]) -> Float[ndarray, "list component"]:
    """As many centres as the square root of the number of points; fewer where few differ."""
    from sklearn.cluster import KMeans

    number = int(np.sqrt(len(points)))
    sample = np.unique(points[_evenly(len(points), _TRAINED_ON * number)], axis=0)
    if len(sample) <= number:
        return sample
    kmeans = KMeans(number, init="random", n_init=1, max_iter=_ITERATIONS, random_state=0)
    return cast("ndarray", kmeans.fit(sample).cluster_centers_)


def _nearest_centre(points: ndarray, centres: ndarray) -> Int[ndarray, " point"]:
    step = max(1, _VALUES_AT_ONCE // len(centres))
    parts = [
        _squared_distances(points[start : start + step], centres).argmin(axis=1)
        for start in range(0, len(points), step)
    ]
    return np.concatenate(parts)


def _squared_distances(points: ndarray, centres: ndarray) -> Float[ndarray, "point list"]:
    """Squared distances, less the squared length of each point."""
    values: ndarray = (-2 * points) @ centres.T
    values += (centres**2).sum(axis=1)
    return values


def _by_list(
    list_of: Int[ndarray, " row"], number: int
) -> tuple[Int[ndarray, " row"], Int[ndarray, " lists_plus_1"]]:
    """Rows list after list, in their order, and the bounds of each list."""
    rows = list_of.argsort(kind="stable")
    return rows, np.searchsorted(list_of[rows], np.arange(number + 1))


def _evenly(length: int, number: int) -> Int[ndarray, " _"]:
    """Up to so many places, evenly spaced."""
    return np.linspace(0, length - 1, min(length, number)).astype(np.int64)
