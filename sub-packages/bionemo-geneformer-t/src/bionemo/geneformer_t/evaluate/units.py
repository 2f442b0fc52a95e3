"""The units of the jackknife: what varies between splits is current cells, next cells and donors.

Scores are means over current cells and their successors, and estimate the same mean over the
population that these cells and donors were drawn from. Many current cells may have the same next
cell, so that a cell is a unit in both roles, and a donor with all of its cells. `Level` computes
the scores without each unit: its current cells are gone, and where it holds some successors of
other current cells, the weights of their other successors are scaled to sum to one.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs

LEAST_UNITS = 10
"""Effective number of current and of next cells below which there is no verdict."""
LEAST_DONORS = 4
"""The same of donors."""
WHOLE = 1 - 1e-9
"""A weight that is that of all successors of a cell, up to rounding."""


class Parts(NamedTuple):
    """The successors of one current cell that belong to the same unit, another than its own."""

    cells: Int[ndarray, " part"]
    """The current cell of each part."""
    units: Int[ndarray, " part"]
    weights: Float[ndarray, " part"]
    """The weight of a part among the successors of its cell."""
    gathering: sp.csr_array
    """Parts x pairs: weights, to sum pairs into parts."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """One kind of unit: each cell, or each donor with all of its cells."""

    least: int
    """Effective number of units below which an interval is not to be trusted."""
    unit: Int[ndarray, " cell"]
    """Of each current cell."""
    unit_of_next: Int[ndarray, " pair"]
    current: Int[ndarray, " pair"]
    """The current cell of each pair, as an index into `unit`."""
    weights: Float[ndarray, " pair"]
    """Of the successors; they sum to one over the pairs of a current cell."""

    @property
    def num_units(self) -> int:
        """Units, numbered from 0; all are seen in one role or the other."""
        return int(max(self.unit.max(initial=-1), self.unit_of_next.max(initial=-1))) + 1

    def effective(
        self,
        of_cells: Float[ndarray, " cell"] | None = None,
        of_pairs: Float[ndarray, " pair"] | None = None,
    ) -> tuple[float, float]:
        """Effective numbers of current and of next cells, as equally large units (Kish 1965).

        Args:
            of_cells: What of each current cell is scored, such as positions; by default equal.
            of_pairs: The same of each pair.
        """
        ones = np.ones(len(self.unit)) if of_cells is None else of_cells
        weights = self.weights if of_pairs is None else self.weights * of_pairs
        return (
            effective_number(np.bincount(self.unit, ones)),
            effective_number(np.bincount(self.unit_of_next, weights)),
        )

    @cached_property
    def parts(self) -> Parts:
        """All parts, which are left out together with their unit."""
        foreign = np.flatnonzero(self.unit[self.current] != self.unit_of_next)
        keys = self.current[foreign] * self.num_units + self.unit_of_next[foreign]
        found, part = np.unique(keys, return_inverse=True)
        shape = (len(found), len(self.current))
        gathering = sp.csr_array((self.weights[foreign], (part, foreign)), shape=shape)
        cells, units = np.divmod(found, max(self.num_units, 1))
        return Parts(cells, units, gathering.sum(axis=1), gathering)

    @cached_property
    def factors(self) -> Float[ndarray, " unit"]:
        """Factors that make the squared change by a unit's next cells unbiased for their variance.

        A current cell's mean m contains x, which is taken out: m - x varies less than x does. With
        weights W (cell x unit), c = W'W and d = column sums of W, the sum of w (m - x) over current
        cells has the variance d^2 - 2 d c_xx + sum of c_xy^2 over all units y, where that of x is
        d^2. It is the correction HC2 (MacKinnon and White 1985) for means with common members.
        """
        cells, units, weights, _ = self.parts
        shape, some = (len(self.unit), self.num_units), weights < WHOLE
        taken = sp.csr_array((weights[some], (cells[some], units[some])), shape=shape)
        everything = sp.coo_array((self.weights, (self.current, self.unit_of_next)), shape=shape)
        both = taken.T @ everything.tocsr()
        total = taken.sum(axis=0)
        squares = both.multiply(both).sum(axis=1)
        spread = total**2 - 2 * total * both.diagonal() + squares
        factors: ndarray = np.divide(
            total, np.sqrt(np.maximum(spread, 0)), out=np.zeros(self.num_units), where=spread > 0
        )
        return factors

    def sums(self, of_pairs: Float[ndarray, "pair column"]) -> Float[ndarray, "cell column"]:
        """Weighted sums over the successors of each current cell."""
        found = np.zeros((len(self.unit), of_pairs.shape[1]))
        np.add.at(found, self.current, self.weights[:, None] * of_pairs)
        return found

    def without_parts(
        self, totals: Float[ndarray, "cell column"], of_pairs: Float[ndarray, "pair column"]
    ) -> Float[ndarray, "part column"]:
        """Weighted sums over the successors of a current cell, without each part.

        Args:
            totals: Weighted sums over all successors.
            of_pairs: What is summed, for each pair.
        """
        cells, _, weights, gathering = self.parts
        rest = np.maximum(1 - weights, 1 - WHOLE)[:, None]
        found: ndarray = (totals[cells] - gathering @ of_pairs) / rest
        return found

    def changes(
        self, totals: Float[ndarray, "cell column"], without: Float[ndarray, "part column"]
    ) -> Float[ndarray, "unit column"]:
        """By how much the sum over current cells changes without each unit.

        Args:
            totals: The summand of each current cell.
            without: The same without each part; not read where a part is all its successors, as the
                cell then drops out.
        """
        cells, units, weights, _ = self.parts
        before = totals[cells]
        scale = ((1 - weights) * self.factors[units])[:, None]
        moved = np.where((weights >= WHOLE)[:, None], -before, scale * (without - before))
        found = np.zeros((self.num_units, totals.shape[1]))
        np.add.at(found, self.unit, -totals)
        np.add.at(found, units, moved)
        return found


@dataclass(frozen=True, kw_only=True)
class Units:
    """The units of the pairs that are scored: cells, and donors where there are several."""

    levels: tuple[Level, ...]
    num_next_cells: int
    """Different cells among the successors."""
    num_donors: int | None
    """Donors of the current cells; None where they are not known."""

    @classmethod
    def of(cls, pairs: CellPairs, donors: Shaped[ndarray, " _"] | None = None) -> "Units":
        """The units of a split.

        Args:
            pairs: Current and next cells.
            donors: Of every cell of the split.
        """
        cells, current = np.unique(pairs.current, return_inverse=True)
        of_donors = None if donors is None else (donors[cells], donors[pairs.following])
        return _units((cells, pairs.following), of_donors, current, pairs.weights)

    @classmethod
    def of_cells(
        cls, cells: Int[ndarray, " cell"], donors: Shaped[ndarray, " _"] | None = None
    ) -> "Units":
        """The units of current cells alone, for what does not depend on next cells."""
        of_donors = None if donors is None else (donors[cells], donors[cells])
        return _units((cells, cells), of_donors, np.arange(len(cells)), np.ones(len(cells)))

    def only(self, which: Bool[ndarray, " cell"]) -> "Units":
        """The units of some of the current cells."""
        kept = which[self.levels[0].current]
        current = np.cumsum(which)[self.levels[0].current[kept]] - 1
        of_cells, *of_donors = (
            (level.unit[which], level.unit_of_next[kept]) for level in self.levels
        )
        return _units(of_cells, next(iter(of_donors), None), current, self.levels[0].weights[kept])

    @property
    def effective_cells(self) -> tuple[float, float]:
        """Effective number of current and of next cells."""
        return self.levels[0].effective()

    @property
    def effective_donors(self) -> float | None:
        """Effective number of donors, where intervals are over them."""
        return min(self.levels[1].effective()) if len(self.levels) > 1 else None


def effective_number(weights: Float[ndarray, " unit"]) -> float:
    """The number of equally weighted units whose mean would vary as much: (sum w)^2 / sum w^2."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _units(
    cells: tuple[ndarray, ndarray],
    donors: tuple[ndarray, ndarray] | None,
    current: Int[ndarray, " pair"],
    weights: Float[ndarray, " pair"],
) -> Units:
    """Units from the labels of current cells and of the next cells of pairs."""
    num_donors = None if donors is None else len(np.unique(donors[0]))
    labels = [(LEAST_UNITS, *cells)]
    if donors is not None and num_donors != 1:  # one donor does not show how donors differ
        labels.append((LEAST_DONORS, *donors))
    levels = []
    for least, mine, theirs in labels:
        _, numbers = np.unique(np.concatenate([mine, theirs]), return_inverse=True)
        levels.append(
            Level(
                least=least,
                unit=numbers[: len(mine)],
                unit_of_next=numbers[len(mine) :],
                current=current,
                weights=weights,
            )
        )
    return Units(
        levels=tuple(levels), num_next_cells=len(np.unique(cells[1])), num_donors=num_donors
    )
