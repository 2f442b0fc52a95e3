"""Populations beside the true next cells, over random splits, with intervals over cells and donors.

What is shown is the mean over the splits. The influence of each cell on it, in whatever role, adds
up over splits and roles; the squares of the sums over cells, or over donors, are the variance
(infinitesimal jackknife). Where two populations are held against the truth, their influences are
subtracted first, so that the interval of the difference is paired.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.intervals import LEVEL, Interval
from bionemo.geneformer_t.evaluate.scores.population import (
    DISTANCES,
    Statistic,
    median_bandwidth,
    two_sample_distances,
    wasserstein,
)
from bionemo.geneformer_t.evaluate.scores.population_axes import halves, principal_axes
from bionemo.geneformer_t.evaluate.scores.population_deals import (
    Deal,
    Samples,
    Times,
    deal_cells,
)
from bionemo.geneformer_t.evaluate.units import Units, effective_number

RETRIEVED = "real cells that the model retrieves"
NO_CHANGE, SPLIT_IN_TWO = "no change", "noise ceiling"
WASSERSTEIN = DISTANCES.index("wasserstein")
SAME_TIMES, TRAINING_CELLS = "training cells of the same times", "training cells"


@dataclass(frozen=True, kw_only=True)
class PopulationDistance:
    """How far a population is from the true next cells, or by how much one is further than another.

    Means over splits, with 95 % intervals; for the distances see `TwoSample`.
    """

    energy: Interval
    wasserstein: Interval
    """W(X, Y) - W(X, X') / 2 - W(Y, Y') / 2 of samples of equally many cells: what is left beyond
    two samples of one population."""
    mmd: Interval
    values: Float[ndarray, "split distance"]
    influences: Float[ndarray, "cell distance"]
    """By how much the means change with each cell of the split, and then each training cell."""

    @property
    def intervals(self) -> dict[str, Interval]:
        """Name of the distance -> its mean and interval."""
        return {name: getattr(self, name) for name in DISTANCES}


@dataclass(frozen=True, kw_only=True)
class Populations:
    """The model and what its population is read against."""

    marks: Mapping[str, PopulationDistance]
    """Name of a reference population -> how far it is from the true next cells."""
    gains: Mapping[str, PopulationDistance]
    """Name of a reference population -> by how much it is further than the model; above zero the
    model is nearer."""
    power: PopulationDistance
    """By how much no change is further than the noise ceiling; where this is not above zero, the
    distance tells nothing."""
    num_cells: int
    """On each side of every distance; 0 where there are too few."""
    num_axes: int
    bandwidth: float
    """Of the Gaussian kernel of the MMD."""


@dataclass(frozen=True, kw_only=True)
class PopulationReference:
    """What every population of predicted cells is compared with."""

    axes: Float[ndarray, "axis vocab"]
    units: Units
    current_cells: Int[ndarray, " current_cell"]
    """The unit of each current cell, among all cells of the scored split."""
    next_cells: Int[ndarray, " next_cell"]
    """The same of each next cell."""
    current_points: Float[ndarray, "current_cell axis"]
    next_points: Float[ndarray, "next_cell axis"]
    training_points: Float[ndarray, "training_cell axis"]
    """Of those that the axes were not fitted on."""
    others: Int[ndarray, " training_cell"]
    """Which of the training cells these are."""
    deals: tuple[Deal, ...]
    """Empty where there are fewer than two cells for a sample."""
    bandwidth: float
    """Of the kernel of the MMD: the median distance between true next cells."""

    @classmethod
    def of(
        cls,
        current: sp.csr_matrix,
        following: sp.csr_matrix,
        training: sp.csr_matrix,
        units: Units,
        rng: np.random.Generator,
        times: Times | None = None,
    ) -> "PopulationReference":
        """Fit axes on half of the training cells, and deal the others and the scored cells.

        Args:
            current: Profiles of the current cells, in the order of `units`.
            following: Profiles of the next cells, each once, in the order of their rows.
            training: Profiles of training cells.
            units: Of the scored split.
            rng: Splits training cells and scored cells.
            times: Of next cells and training cells, where they are known.
        """
        fitted, others = halves(training.shape[0], rng)
        axes = principal_axes(training[fitted], rng)
        level = units.levels[0]
        next_points = following @ axes.T
        if times is not None:
            times = replace(times, training=times.training[others])
        next_cells = np.unique(level.unit_of_next)
        return cls(
            axes=axes,
            units=units,
            current_cells=level.unit,
            next_cells=next_cells,
            current_points=current @ axes.T,
            next_points=next_points,
            training_points=training[others] @ axes.T,
            others=others,
            deals=deal_cells(level.unit, next_cells, len(others), rng, times),
            bandwidth=median_bandwidth(next_points, rng),
        )

    def distance(self, drawn: Float[ndarray, "current_cell vocab"]) -> PopulationDistance:
        """How far cells drawn from the predictions for all current cells are."""
        samples = [deal.current for deal in self.deals]
        return self._distance(drawn @ self.axes.T, self.current_cells, samples)

    def compare(
        self,
        model: PopulationDistance,
        retrieved: Float[ndarray, "current_cell vocab"] | None = None,
    ) -> Populations:
        """A model's population beside all references.

        Args:
            model: Of cells drawn from its predictions rank by rank.
            retrieved: Profiles of real cells that it draws, one for each current cell.
        """
        of_training = self._num_units + np.arange(len(self.training_points))
        marks = {
            NO_CHANGE: self._distance(
                self.current_points, self.current_cells, [deal.current for deal in self.deals]
            ),
            SPLIT_IN_TWO: self._distance(
                self.next_points, self.next_cells, [deal.following for deal in self.deals]
            ),
        }
        same_times = [deal.same_times for deal in self.deals if deal.same_times is not None]
        if same_times and len(same_times) == len(self.deals):
            marks[SAME_TIMES] = self._distance(self.training_points, of_training, same_times)
        marks[TRAINING_CELLS] = self._distance(
            self.training_points, of_training, [deal.training for deal in self.deals]
        )
        if retrieved is not None:
            marks = {RETRIEVED: self.distance(retrieved), **marks}
        return Populations(
            gains={name: self.difference(mark, model) for name, mark in marks.items()},
            power=self.difference(marks[NO_CHANGE], marks[SPLIT_IN_TWO]),
            marks={**marks, SPLIT_IN_TWO: self._spread_of_splits(marks[SPLIT_IN_TWO])},
            num_cells=len(self.deals[0].truth) if self.deals else 0,
            num_axes=len(self.axes),
            bandwidth=self.bandwidth,
        )

    def difference(self, one: PopulationDistance, other: PopulationDistance) -> PopulationDistance:
        """By how much `one` is further than `other`, split by split and cell by cell."""
        return self._with_intervals(one.values - other.values, one.influences - other.influences)

    def _spread_of_splits(self, ceiling: PopulationDistance) -> PopulationDistance:
        """The same with intervals that hold 95 % of single splits, from their standard deviation.

        Of the Wasserstein distance, which is 0 as the same samples are taken off, it is that of the
        distance between the halves.
        """
        from scipy.stats import t

        if not self.deals:
            return ceiling
        values = ceiling.values.copy()
        values[:, WASSERSTEIN] = [value for value, _, _ in self._between_next]
        quantile = t.ppf((1 + LEVEL) / 2, len(values) - 1)
        half_widths = quantile * values.std(axis=0, ddof=1)
        return _with_half_widths(
            ceiling.values, ceiling.influences, half_widths, is_enough=ceiling.energy.is_enough
        )

    @property
    def _num_units(self) -> int:
        return self.units.levels[0].num_units

    def _distance(
        self,
        points: Float[ndarray, "point axis"],
        cells: Int[ndarray, " point"],
        samples: list[Samples],
    ) -> PopulationDistance:
        """How far some points are from the true next cells of the other half.

        Args:
            points: A population.
            cells: The unit of each point; training cells are numbered after all units.
            samples: The points that each split takes.
        """
        values = np.zeros((len(self.deals), len(DISTANCES)))
        number = self._num_units + len(self.training_points)
        influences = np.zeros((number, len(DISTANCES)))
        for split, (deal, (some, again)) in enumerate(zip(self.deals, samples, strict=True)):
            truth = self.next_points[deal.truth]
            found = two_sample_distances(points[some], truth, self.bandwidth)
            values[split] = found.values
            share = len(some) * len(self.deals)
            np.add.at(influences, cells[some], found.of_one / share)
            np.add.at(influences, self.next_cells[deal.truth], found.of_other / share)
            of_truth = [self.next_cells[rows] for rows in deal.following]
            for (value, *psi), who in (
                (_between(points[some], points[again]), (cells[some], cells[again])),
                (self._between_next[split], of_truth),
            ):
                values[split, WASSERSTEIN] -= value / 2
                for each, own in zip(who, psi, strict=True):
                    np.add.at(influences[:, WASSERSTEIN], each, (own.mean() - own) / (2 * share))
        return self._with_intervals(values, influences)

    @cached_property
    def _between_next(self) -> list[Statistic]:
        """The Wasserstein distance between two samples of true next cells, for each split."""
        return [_between(*(self.next_points[rows] for rows in d.following)) for d in self.deals]

    def _with_intervals(
        self, values: Float[ndarray, "split distance"], influences: Float[ndarray, "cell distance"]
    ) -> PopulationDistance:
        half_widths, is_enough = self._half_widths(influences)
        return _with_half_widths(values, influences, half_widths, is_enough=is_enough)

    def _half_widths(
        self, influences: Float[ndarray, "cell distance"]
    ) -> tuple[Float[ndarray, " distance"], bool]:
        """Half the widths of the intervals, the widest over cells and over donors.

        Returns:
            The half widths, NaN where there is one unit, and whether there are enough units.
        """
        from scipy.stats import t

        cells, training = np.split(influences, [self._num_units])
        found, is_enough, each = [], True, self.units.levels[0]
        for level in self.units.levels:
            unit = np.empty(self._num_units, dtype=np.int64)  # of each cell
            unit[each.unit], unit[each.unit_of_next] = level.unit, level.unit_of_next
            sums = np.zeros((level.num_units, len(DISTANCES)))
            np.add.at(sums, unit, cells)
            effective = min(
                effective_number(np.bincount(unit[some]).astype(np.float64))
                for some in (self.current_cells, self.next_cells)
            )
            is_enough &= effective >= level.least
            if effective <= 1:
                found.append(np.full(len(DISTANCES), np.nan))
                continue
            variance = (sums**2).sum(axis=0) * level.num_units / (level.num_units - 1)
            quantile = t.ppf((1 + LEVEL) / 2, max(effective - 1, 1))
            found.append(quantile * np.sqrt(variance + (training**2).sum(axis=0)))
        widest: ndarray = np.max(found, axis=0)
        return widest, bool(is_enough)


def _between(one: Float[ndarray, "point axis"], other: Float[ndarray, "point axis"]) -> Statistic:
    from scipy.spatial.distance import cdist

    return wasserstein(cdist(one, other))


def _with_half_widths(
    values: Float[ndarray, "split distance"],
    influences: Float[ndarray, "cell distance"],
    half_widths: Float[ndarray, " distance"],
    *,
    is_enough: bool,
) -> PopulationDistance:
    """Means over splits with their intervals; NaN where there are no splits."""
    if not len(values):
        values = np.full((1, len(DISTANCES)), np.nan)
    energy, wasserstein, mmd = (
        Interval(mean=mean, low=mean - half, high=mean + half, is_enough=is_enough)
        for mean, half in zip(values.mean(axis=0).tolist(), half_widths.tolist(), strict=True)
    )
    return PopulationDistance(
        energy=energy, wasserstein=wasserstein, mmd=mmd, values=values, influences=influences
    )
