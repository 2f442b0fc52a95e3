"""Distances between populations of cells: predicted and true next cells as clouds of points.

All three distances compare samples in one fixed space. They are read against the distance between
two halves of the true population, which no prediction can beat, of the current population (no
change), and of training cells of all kinds.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial.distance import cdist

MAX_CELLS = 1000
"""Points of each population; more cost time in the square and change a distance little."""


@dataclass(frozen=True, kw_only=True)
class PopulationDistance:
    """How far apart two populations are."""

    energy: float
    """Squared energy distance, 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely and Rizzo 2013)."""
    wasserstein: float
    """Exact 1-Wasserstein distance between equally large samples, Euclidean."""
    mmd: float
    """Squared maximum mean discrepancy, biased, Gaussian kernel (Gretton et al. 2012)."""


def population_distance(
    one: Float[ndarray, "point axis"],
    other: Float[ndarray, "point_2 axis"],
    bandwidth: float,
    rng: np.random.Generator,
) -> PopulationDistance:
    """Compare two populations on equally many cells of each, up to `MAX_CELLS`.

    Args:
        one: Points of one population.
        other: Points of the other.
        bandwidth: Standard deviation of the kernel of the MMD.
        rng: Draws the cells.

    Raises:
        ValueError: A population is empty.
    """
    number = min(len(one), len(other), MAX_CELLS)
    if not number:
        raise ValueError(
            f"populations of {len(one)} and {len(other)} cells cannot be compared; each needs one"
        )
    one, other = (cells[rng.permutation(len(cells))[:number]] for cells in (one, other))
    between, within, within_other = cdist(one, other), cdist(one, one), cdist(other, other)
    return PopulationDistance(
        energy=float(2 * between.mean() - within.mean() - within_other.mean()),
        wasserstein=assignment_distance(between),
        mmd=float(
            gaussian(within, bandwidth).mean()
            + gaussian(within_other, bandwidth).mean()
            - 2 * gaussian(between, bandwidth).mean()
        ),
    )


def median_bandwidth(points: Float[ndarray, "point axis"], rng: np.random.Generator) -> float:
    """The median distance between points, the usual width of the MMD's kernel; 1 where it is 0."""
    some = points[rng.permutation(len(points))[:MAX_CELLS]]
    apart = cdist(some, some)[np.triu_indices(len(some), 1)]
    return float(np.median(apart) or 1.0) if len(apart) else 1.0


def assignment_distance(between: Float[ndarray, "point point"]) -> float:
    """Mean distance under the best one-to-one matching."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(between)
    return float(between[rows, columns].mean())


def gaussian(distances: Float[ndarray, "..."], bandwidth: float) -> Float[ndarray, "..."]:
    """A Gaussian kernel of distances."""
    result: ndarray = np.exp(-0.5 * (distances / bandwidth) ** 2)
    return result
