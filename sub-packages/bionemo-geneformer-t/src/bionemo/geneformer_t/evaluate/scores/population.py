"""Distances between two populations of cells as clouds of points, and who they rest on.

Energy distance and MMD are U-statistics: no cell is compared with itself, so that their mean over
samples of two equal populations is 0 at any size, and a single one may be negative. The Wasserstein
distance of two samples of one population is above 0, by more the fewer cells and the wider their
spread: at few cells, a cloud without spread is nearer to any population than a sample of the same.
So what two samples of each population are apart is taken off, half of each, as the energy distance
does with the distances within a population.

Each distance comes with the influence of every point on it, which is what the infinitesimal
jackknife (Jaeckel 1972) sums up to a variance over cells or donors.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

DISTANCES = ("energy", "wasserstein", "mmd")
Statistic = tuple[float, Float[ndarray, " point"], Float[ndarray, " point_2"]]
"""A distance, and the influences of the points of either sample up to a constant."""
_MAX_FOR_MEDIAN = 1000


@dataclass(frozen=True, kw_only=True)
class TwoSample:
    """Distances between two samples, in the order of `DISTANCES`; nothing is taken off yet.

    energy: the squared energy distance, 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely and Rizzo
    2013). wasserstein: the 1-Wasserstein distance, Euclidean. mmd: the squared maximum mean
    discrepancy of a Gaussian kernel (Gretton et al. 2012, equation 3).
    """

    values: Float[ndarray, " distance"]
    of_one: Float[ndarray, "point distance"]
    """Influence of each point of the first sample: n times what it changes; they sum to 0."""
    of_other: Float[ndarray, "point_2 distance"]


def two_sample_distances(
    one: Float[ndarray, "point axis"], other: Float[ndarray, "point_2 axis"], bandwidth: float
) -> TwoSample:
    """Compare two samples of equally many points.

    Args:
        one: Points of one population.
        other: Points of the other.
        bandwidth: Standard deviation of the kernel of the MMD.

    Raises:
        ValueError: The numbers of points are not equal, or below 2.
    """
    from scipy.spatial.distance import cdist

    if len(one) != len(other) or len(one) < 2:
        raise ValueError(
            f"populations of {len(one)} and {len(other)} cells cannot be compared; equally many "
            "are needed, and at least 2"
        )
    between, within, within_other = cdist(one, other), cdist(one, one), cdist(other, other)
    found: tuple[Statistic, ...] = (
        energy(between, within, within_other),
        wasserstein(between),
        energy(*(1 - gaussian(d, bandwidth) for d in (between, within, within_other))),
    )
    return TwoSample(
        values=np.array([value for value, _, _ in found]),
        of_one=np.column_stack([some - some.mean() for _, some, _ in found]),
        of_other=np.column_stack([some - some.mean() for _, _, some in found]),
    )


def energy(
    between: Float[ndarray, "point point_2"],
    within: Float[ndarray, "point point"],
    within_other: Float[ndarray, "point_2 point_2"],
) -> Statistic:
    """The U-statistic of 2 E d(X, Y) - E d(X, X') - E d(Y, Y'), and the influence of each point.

    With d = 1 - k of a kernel k it is the squared MMD.
    """
    of_one, of_other = (
        own.sum(axis=1) / (len(own) - 1) for own in (within, within_other)
    )  # the distance of a point from itself is 0
    return (
        float(2 * between.mean() - of_one.mean() - of_other.mean()),
        2 * (between.mean(axis=1) - of_one),
        2 * (between.mean(axis=0) - of_other),
    )


def wasserstein(
    between: Float[ndarray, "point point"],
) -> Statistic:
    """Mean distance under the best one-to-one matching, and the potentials of the points.

    The potentials solve the dual problem; they are the influences of the points (del Barrio and
    Loubes 2019). Of all solutions it is the middle between two extreme ones.
    """
    from scipy.optimize import linear_sum_assignment

    _, matched = linear_sum_assignment(between)
    sorted_ = between[:, matched]  # the match of row i is column i
    costs = sorted_.diagonal()
    of_columns = (_potentials(sorted_ - costs[:, None]) + costs - _potentials(
        sorted_.T - costs[:, None]
    )) / 2  # fmt: skip
    of_other = np.empty_like(costs)
    of_other[matched] = of_columns
    return float(costs.mean()), costs - of_columns, of_other


def _potentials(excess: Float[ndarray, "point point"]) -> Float[ndarray, " point"]:
    """The greatest v <= 0 with v_j <= v_i + excess_ij, by relaxation (Bellman-Ford).

    Args:
        excess: What point i pays more for the match of j than for its own; without a negative
            cycle, as the matching is the best one.
    """
    found = np.zeros(len(excess))
    tolerance = 1e-9 * max(1.0, float(np.abs(excess).max()))
    for _ in range(len(excess)):
        better = (found[:, None] + excess).min(axis=0)
        if (found - better).max() <= tolerance:
            break
        found = better
    return found


def median_bandwidth(points: Float[ndarray, "point axis"], rng: np.random.Generator) -> float:
    """The median distance between points, the usual width of the MMD's kernel; 1 where it is 0."""
    from scipy.spatial.distance import cdist

    some = points[rng.permutation(len(points))[:_MAX_FOR_MEDIAN]]
    apart = cdist(some, some)[np.triu_indices(len(some), 1)]
    return float(np.median(apart) or 1.0) if len(apart) else 1.0


def gaussian(distances: Float[ndarray, "..."], bandwidth: float) -> Float[ndarray, "..."]:
    """A Gaussian kernel of distances."""
    result: ndarray = np.exp(-0.5 * (distances / bandwidth) ** 2)
    return result
