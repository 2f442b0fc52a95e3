"""Percentile bootstrap over cells, or over donors where they are known.

Positions of one cell are far from independent, so whole cells are drawn, with replacement; and so
are cells of one donor, so that whole donors are drawn where it is known whose cells they are. Two
predictors are compared on the same draws: what makes a cell hard for both cancels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.evaluate.tokens import CellSums

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and where it lies in 95 % of the resamplings."""

    mean: float
    low: float
    high: float


def resample(
    num_cells: int, generator: np.random.Generator, *, draws: int = DRAWS
) -> Int[ndarray, "draw cell"]:
    """How often each cell is drawn when as many as there are, are drawn with replacement."""
    return generator.multinomial(num_cells, np.full(num_cells, 1 / num_cells), size=draws)


def resample_groups(
    groups: Shaped[ndarray, " cell"], generator: np.random.Generator, *, draws: int = DRAWS
) -> Int[ndarray, "draw cell"]:
    """How often each cell is drawn when whole groups are, as many as there are."""
    names, group = np.unique(groups, return_inverse=True)
    return resample(len(names), generator, draws=draws)[:, group]


def cross_entropy_interval(sums: CellSums, times: Int[ndarray, "draw cell"]) -> Interval:
    """The mean cross-entropy and its interval, in nats."""
    return _interval(sums.mean()[0], sums.mean(times)[:, 0])


def advantage(sums: CellSums, than: CellSums, times: Int[ndarray, "draw cell"]) -> Interval:
    """By how many nats one predictor's cross-entropy is lower than another's on the same cells."""
    assert np.array_equal(sums.cells, than.cells)
    return _interval(
        than.mean()[0] - sums.mean()[0], than.mean(times)[:, 0] - sums.mean(times)[:, 0]
    )


def mean_interval(values: Float[ndarray, " cell"], times: Int[ndarray, "draw cell"]) -> Interval:
    """The mean of one number for each cell and its interval; cells without one are left out."""
    known = np.isfinite(values)
    if not known.any():
        return Interval(mean=float("nan"), low=float("nan"), high=float("nan"))
    number = times[:, known].sum(axis=1)
    sums = times[:, known] @ values[known]
    draws = np.divide(sums, number, out=np.full(len(times), np.nan), where=number > 0)
    return _interval(values[known].mean(), draws)


def _interval(mean: float, draws: Float[ndarray, " draw"]) -> Interval:
    draws = draws[np.isfinite(draws)]
    if len(draws) == 0:
        return Interval(mean=float("nan"), low=float("nan"), high=float("nan"))
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean=float(mean), low=float(low), high=float(high))
