"""Distances between populations of cells: predicted and true next cells as clouds of points.

All three distances compare samples in one fixed space. Beside them stand what no prediction can
beat (two halves of the true population), no change (the current population) and chance.
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
    generator: np.random.Generator,
) -> PopulationDistance:
    """Compare two populations on at most `MAX_CELLS` cells of each, equally many.

    Args:
        one: Points of one population.
        other: Points of the other.
        bandwidth: Standard deviation of the kernel of the MMD.
        generator: Draws the cells.

    Raises:
        ValueError: A population is empty.
    """
    number = min(len(one), len(other), MAX_CELLS)
    if not number:
        raise ValueError(
            f"populations of {len(one)} and {len(other)} cells cannot be compared; each needs one"
        )
    one, other = (cells[generator.permutation(len(cells))[:number]] for cells in (one, other))
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


def median_bandwidth(points: Float[ndarray, "point axis"], generator: np.random.Generator) -> float:
    """The median distance between points, the usual width of the MMD's kernel; 1 where it is 0."""
    some = points[generator.permutation(len(points))[:MAX_CELLS]]
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
