"""What share of walks is in each cluster at each step: sampled, exact, and without direction.

Sampled shares have intervals by a bootstrap over starting cells. The exact ones are those of
infinitely many walks: powers of the matrix, applied to where walks start. Each null is exact, too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.fates.cluster_codes import ClusterCodes

DRAWS = 1000
"""Bootstrap draws."""
_DRAWS_AT_ONCE = 50
_MOST_UNITS = 1000
"""Starting cells from which on random groups of them, as many as this, are drawn together."""
_LEVELS = (0.025, 0.975)

Step = Callable[[Float[ndarray, " cell"]], Float[ndarray, " cell"]]
"""From the probability of being in each cell to that one step later."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares of walks by step; intervals where they are sampled."""

    clusters: Float[ndarray, "time cluster"]
    absorbed: Float[ndarray, " time"]
    """In cells that cannot be left."""
    low: Float[ndarray, "time column"] | None = None
    """Of the clusters, then of the absorbed."""
    high: Float[ndarray, "time column"] | None = None


def sampled_shares(
    visited: Int[ndarray, "walk time"],
    clusters: ClusterCodes,
    absorbing: Bool[ndarray, " cell"],
    seed: int,
) -> Shares:
    """Shares of walks, with 95 % intervals (percentiles of a bootstrap over starting cells).

    Walks from the same cell are drawn together. Where there is one starting cell, single walks are
    drawn instead, and the interval is about walks from this cell alone.
    """
    num_walks, num_times = visited.shape
    columns = len(clusters.names) + 1
    walk, time = np.divmod(np.arange(visited.size), num_times)
    cells = visited.ravel()
    units, unit = np.unique(visited[:, 0], return_inverse=True)
    rng = np.random.default_rng([seed, 1])
    if len(units) == 1:
        unit = np.arange(num_walks)
    number = int(unit.max()) + 1
    unit = rng.permutation(number)[unit] % _MOST_UNITS
    stopped = absorbing[cells]
    rows = np.concatenate(
        [time * columns + clusters.codes[cells], time[stopped] * columns + columns - 1]
    )
    of_unit = unit[np.concatenate([walk, walk[stopped]])]
    shape = (num_times * columns, min(number, _MOST_UNITS))
    counts = sp.csr_array((np.ones(len(rows)), (rows, of_unit)), shape=shape)
    shares = np.asarray(counts.sum(axis=1)).reshape(num_times, columns) / num_walks
    drawn = _bootstrap(counts, np.bincount(unit), rng)
    low, high = np.quantile(drawn, _LEVELS, axis=1).reshape(2, num_times, columns)
    return Shares(clusters=shares[:, :-1], absorbed=shares[:, -1], low=low, high=high)


def exact_shares(
    step: Step,
    start: Float[ndarray, " cell"],
    num_steps: int,
    clusters: ClusterCodes,
    absorbing: Bool[ndarray, " cell"],
) -> Shares:
    """Shares of infinitely many walks.

    Args:
        step: Moves probabilities by one step.
        start: The probability that a walk starts in each cell.
        num_steps: Steps.
        clusters: Of the cells.
        absorbing: Cells that cannot be left.
    """
    at, found, stopped = start, [], []
    for number in range(num_steps + 1):
        at = step(at) if number else start
        found.append(clusters.shares(at))
        stopped.append(at[absorbing].sum())
    return Shares(clusters=np.array(found), absorbed=np.array(stopped))


def along(transitions: sp.csr_array) -> Step:
    """A step by the transitions as they are."""
    back = transitions.T
    return lambda at: back @ at


def any_candidate(transitions: sp.csr_array) -> Step:
    """A step to any of the cells that a cell has transitions to, with equal probabilities."""
    degrees = np.diff(transitions.indptr)
    equal = np.repeat(1 / degrees, degrees)
    parts = (equal, transitions.indices, transitions.indptr)
    return along(sp.csr_array(parts, shape=transitions.shape))


def either_direction(transitions: sp.csr_array) -> Step:
    """A step along a transition or against it, in proportion to the sum of both probabilities.

    What is left of a chain where direction does not matter. `T + T.T` is never built.
    """
    back = transitions.T
    total = np.asarray(transitions.sum(axis=1)).ravel() + np.asarray(back.sum(axis=1)).ravel()

    def step(at: Float[ndarray, " cell"]) -> Float[ndarray, " cell"]:
        each = at / total
        moved: Float[ndarray, " cell"] = back @ each + transitions @ each
        return moved

    return step


def total_variation(
    one: Float[ndarray, "*one cluster"], other: Float[ndarray, "*other cluster"]
) -> Float[ndarray, "..."]:
    """Half the sum of absolute differences: the share that would have to move; broadcasts."""
    found: Float[ndarray, ...] = np.asarray(np.abs(one - other).sum(axis=-1) / 2)
    return found


def _bootstrap(
    counts: sp.csr_array, sizes: Int[ndarray, " unit"], rng: np.random.Generator
) -> Float[ndarray, "row draw"]:
    """Shares in samples of the units with replacement."""
    drawn = []
    for _ in range(DRAWS // _DRAWS_AT_ONCE):
        times = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), _DRAWS_AT_ONCE).T
        drawn.append((counts @ times) / (sizes @ times))
    return np.concatenate(drawn, axis=1)
