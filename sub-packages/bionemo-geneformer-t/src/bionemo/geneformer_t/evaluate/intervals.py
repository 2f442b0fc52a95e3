"""95 % intervals of means over current cells and their successors, by the jackknife.

Each unit (a cell in both of its roles, or a donor) is left out once; the squared changes of the
score add up to its variance (Efron and Stein 1981: on average not below it). Where donors are
known, the interval is the wider one of that over donors and that over cells: few donors may agree
by chance, and their mean varies at least as much as their cells make it. Quantiles are Student's,
with one degree of freedom less than the effective number of units (MacKinnon, Nielsen and Webb
2023, CV3, for few clusters). `benchmarks/interval_coverage.py` measures how often such intervals
hold the true value, and chose this method and the least numbers of units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.scores.token_scores import CellSums
from bionemo.geneformer_t.evaluate.units import Units

LEVEL = 0.95
Verdict: TypeAlias = Literal["better", "worse", "no better", "too few", "not known"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and its 95 % interval; both ends are NaN where there is only one unit."""

    mean: float
    low: float
    high: float
    is_enough: bool = True
    """Whether it rests on enough cells and donors for its ends to be trusted."""

    @property
    def verdict(self) -> Verdict:
        """Better or worse only where the whole interval is above or below zero."""
        if math.isnan(self.mean):
            return "not known"
        if not self.is_enough or math.isnan(self.low):
            return "too few"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no better"


def cross_entropy_interval(sums: CellSums, units: Units) -> Interval:
    """The mean cross-entropy and its interval, in nats."""
    return _of_pairs(float(sums.mean()[0]), sums.of_cells, sums.of_pairs, units)


def advantage(sums: CellSums, than: CellSums, units: Units) -> Interval:
    """By how many nats one predictor's cross-entropy is lower than another's on the same cells."""
    assert np.array_equal(sums.cells, than.cells)
    of_cells, of_pairs = (
        np.column_stack([mine[:, 0], theirs[:, 1] - mine[:, 1]])
        for mine, theirs in ((sums.of_cells, than.of_cells), (sums.of_pairs, than.of_pairs))
    )
    return _of_pairs(float(than.mean()[0] - sums.mean()[0]), of_cells, of_pairs, units)


def mean_interval(
    values: Float[ndarray, " cell"], without: Sequence[Float[ndarray, " _"]], units: Units
) -> Interval:
    """The mean of one number for each current cell; cells without one are left out.

    Args:
        values: Of all successors.
        without: For each level of units, the numbers without each part of the successors.
        units: What is left out in turn.
    """
    known = np.isfinite(values)
    mean = float(values[known].mean()) if known.any() else math.nan
    totals, rests = _counted(values), [_counted(rest) for rest in without]
    return _interval(mean, totals, totals[units.levels[0].current, 0], rests, units)


def share_intervals(of_pairs: Float[ndarray, "pair bin 2"], units: Units) -> tuple[Interval, ...]:
    """Fractions of positions in each bin, with their intervals.

    Args:
        of_pairs: Of each pair, unweighted: positions, and those among them that count.
        units: What is left out in turn.
    """
    level = units.levels[0]
    found = []
    for some in np.moveaxis(of_pairs.astype(np.float64), 1, 0):
        of_cells = level.sums(some)
        positions, counted = of_cells.sum(axis=0)
        fraction = float(counted / positions) if positions else math.nan
        found.append(_of_pairs(fraction, of_cells, some, units))
    return tuple(found)


def mean_half_widths(
    values: Float[ndarray, "cell column"],
    of_pairs: Float[ndarray, "pair column"] | None,
    units: Units,
) -> Float[ndarray, " column"]:
    """Half the width of the intervals of several means over current cells.

    Args:
        values: Of each current cell.
        of_pairs: Of each successor, where a current cell's value is the mean of its successors';
            None where it does not depend on next cells.
        units: What is left out in turn.
    """
    number, columns = values.shape
    total = np.column_stack([np.full(columns, number), values.sum(axis=0)])
    counted = np.column_stack([np.ones(number), values])
    halves = []
    for level in units.levels:
        without = counted[level.parts.cells]
        if of_pairs is not None:
            without[:, 1:] = level.without_parts(values, of_pairs)
        changes = level.changes(counted, without)
        both = np.stack([np.repeat(changes[:, :1], columns, axis=1), changes[:, 1:]], axis=2)
        halves.append(half_width(min(level.effective()), total, both))
    found: ndarray = np.max(halves, axis=0)
    return found


def _of_pairs(
    mean: float,
    of_cells: Float[ndarray, "cell 2"],
    of_pairs: Float[ndarray, "pair 2"],
    units: Units,
) -> Interval:
    """The interval of the second sum over the first, of sums over pairs."""
    without = [level.without_parts(of_cells, of_pairs) for level in units.levels]
    return _interval(mean, of_cells, of_pairs[:, 0], without, units)


def _interval(
    mean: float,
    totals: Float[ndarray, "cell 2"],
    number: Float[ndarray, " pair"],
    without: Sequence[Float[ndarray, "_ 2"]],
    units: Units,
) -> Interval:
    """The widest of the intervals over each kind of units.

    Args:
        mean: The second sum over the first; NaN where there is nothing to sum.
        totals: Summands of each current cell.
        number: The first summand of each pair.
        without: For each level of units, summands without each part of the successors.
        units: What is left out in turn.
    """
    if math.isnan(mean):
        return Interval(mean=math.nan, low=math.nan, high=math.nan, is_enough=False)
    halves, is_enough = [], True
    for level, rest in zip(units.levels, without, strict=True):
        effective = min(level.effective(totals[:, 0], number))
        halves.append(half_width(effective, totals.sum(axis=0), level.changes(totals, rest)))
        is_enough &= effective >= level.least
    half = float(np.max(halves))
    return Interval(mean=mean, low=mean - half, high=mean + half, is_enough=is_enough)


def half_width(
    effective: float, total: Float[ndarray, "... 2"], changes: Float[ndarray, "unit ... 2"]
) -> Float[ndarray, "..."]:
    """Half the width of the interval of the second sum over the first; NaN for a single unit.

    Args:
        effective: Effective number of units.
        total: Sums over all current cells.
        changes: By how much they change without each unit.
    """
    from scipy.stats import t

    number = len(changes)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = _ratio(total + changes) - _ratio(total)
    if effective <= 1:
        return np.full(apart.shape[1:], np.nan)
    variance = (number - 1) / number * (apart**2).sum(axis=0)
    found: ndarray = np.asarray(t.ppf((1 + LEVEL) / 2, max(effective - 1, 1)) * np.sqrt(variance))
    return found


def _ratio(sums: Float[ndarray, "... column"]) -> Float[ndarray, "..."]:
    return np.asarray(sums[..., 1] / sums[..., 0])


def _counted(values: Float[ndarray, " row"]) -> Float[ndarray, "row 2"]:
    known = np.isfinite(values)
    return np.column_stack([known, np.where(known, values, 0.0)])
