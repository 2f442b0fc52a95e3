"""What change and direction owe to the current cell, which prediction and truth share.

The predicted change is the prediction less the current cell, the true one the true next cells less
the same current cell: both point away from its noise, so that even a guess is given a correlation
near that of a good model. What a prediction knows of its own cell shows when a partner of the
same time and cluster is put in its place, with the current cell held fixed. Of four scores, own
prediction and own successors (11), the partner's prediction (01), the partner's successors (10),
and both (00),

    excess = 11 + 00 - 01 - 10,    null = 01 + 10 - 00 = 11 - excess.

It is exactly 0 for a prediction that ignores the cell. It is 0 on average for any prediction where
successors depend on nothing but time and cluster: own and partner's successors then trade places
freely. Successors permuted alone (11 - 10) lack the first property, predictions permuted alone
(11 - 01) the second.

They do not trade places freely where the partner is a successor of the cell: no cell is its own
successor, so that the partner's prediction, and never the own one, would be compared with its own
cell. Partners are therefore neither successors nor predecessors, as far as the group has others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.intervals import Interval, half_width
from bionemo.geneformer_t.evaluate.partner_permutation import are_linked, permutation_within
from bionemo.geneformer_t.evaluate.scores.profiles import PairProfiles
from bionemo.geneformer_t.evaluate.units import WHOLE, Units
from bionemo.geneformer_t.evaluate.without_successors import Arrangement, score_arranged

NUM_PARTNERS = 2
"""Partners of each current cell."""
LEAST_AT_A_TIME = 10
"""Cells of a cluster that count as of the same time, where times are all different."""

Score = Callable[[ndarray, ndarray, ndarray], Float[ndarray, " cell"]]
"""(predicted, current, following) profiles -> one number for each cell."""
Measure = Literal["change", "direction"]


@dataclass(frozen=True, kw_only=True)
class Partners:
    """Other cells of the same time and cluster, in the place of each current cell."""

    of_cell: Int[ndarray, "partner cell"]
    """Each row is a permutation without fixed points; empty for a single cell."""
    linked: float
    """The fraction that are successors or predecessors, for want of others in the group."""

    @classmethod
    def of(
        cls,
        number: int,
        rng: np.random.Generator,
        times: Float[ndarray, " cell"] | None = None,
        clusters: Shaped[ndarray, " cell"] | None = None,
        links: sp.csr_array | None = None,
    ) -> "Partners":
        """Draw partners.

        Args:
            number: Current cells.
            rng: Draws.
            times: Of the current cells, where they are known.
            clusters: The same.
            links: Which of them follow which, as `links_of` gives them.
        """
        if number < 2:
            return cls(of_cell=np.zeros((0, number), dtype=np.int64), linked=0.0)
        if links is None:
            links = sp.csr_array((number, number))
        _, group = np.unique(groups_of(number, times, clusters), return_inverse=True)
        found = [permutation_within(group, links, rng) for _ in range(NUM_PARTNERS)]
        linked = float(np.mean([are_linked(links, partner) for partner in found]))
        return cls(of_cell=np.array(found), linked=linked)


def links_of(pairs: CellPairs) -> sp.csr_array:
    """Current cells x current cells: nonzero where one is a successor of the other."""
    cells, following = pairs.cells, pairs.following
    place = np.minimum(np.searchsorted(cells, following), len(cells) - 1)
    is_current = cells[place] == following
    rows, columns = np.searchsorted(cells, pairs.current[is_current]), place[is_current]
    shape = (len(cells), len(cells))
    forward = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    return sp.csr_array(forward + forward.T)


def groups_of(
    number: int,
    times: Float[ndarray, " cell"] | None,
    clusters: Shaped[ndarray, " cell"] | None,
) -> Int[ndarray, " cell"]:
    """The group of cells of the same time and cluster that each cell is in.

    Where nearly all times differ, cells of a cluster that follow each other in time are a group.
    Cells that would be alone are one group, with those of another where it is a single cell.
    """
    names = np.full(number, "all") if clusters is None else clusters.astype(str)
    _, group = np.unique(names, return_inverse=True)
    if times is not None:
        values, time = np.unique(times, return_inverse=True)
        if len(values) * LEAST_AT_A_TIME > number:
            place, size = _places_in_time(group, times)
            time = np.minimum(place // LEAST_AT_A_TIME, np.maximum(size // LEAST_AT_A_TIME, 1) - 1)
        group = group * (int(time.max()) + 1) + time
    _, group, sizes = np.unique(group, return_inverse=True, return_counts=True)
    alone = sizes[group] == 1
    if alone.sum() == 1 and len(sizes) > 1:
        alone |= group == group[~alone][0]
    return np.where(alone, len(sizes), group)


def _places_in_time(
    group: Int[ndarray, " cell"], times: Float[ndarray, " cell"]
) -> tuple[Int[ndarray, " cell"], Int[ndarray, " cell"]]:
    """The place of each cell among those of its group in time, and their number."""
    order, sizes = np.lexsort((times, group)), np.bincount(group)
    place = np.empty(len(group), dtype=np.int64)
    place[order] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return place, sizes[group]


@dataclass(frozen=True, kw_only=True)
class Excess:
    """What one measure gains over its null, one number for each partner of each current cell."""

    of_cells: Float[ndarray, "partner cell"]
    """11 + 00 - 01 - 10."""
    of_successors: Float[ndarray, "partner cell"]
    """Those of all scores, with their signs, in which the successors of the cell are."""
    without: tuple[Float[ndarray, "partner _"], ...]
    """For each level of units, `of_successors` without each part of the successors."""

    def __sub__(self, other: "Excess") -> "Excess":
        """What one predictor gains over another, with the same partners."""
        return Excess(
            of_cells=self.of_cells - other.of_cells,
            of_successors=self.of_successors - other.of_successors,
            without=tuple(
                mine - theirs for mine, theirs in zip(self.without, other.without, strict=True)
            ),
        )

    @property
    def mean(self) -> float:
        """Over partners and cells; NaN for a single cell."""
        return float(self.of_cells.mean()) if self.of_cells.size else float("nan")


def excesses(
    predicted: Float[ndarray, "cell vocab"],
    axes: Float[ndarray, "axis vocab"],
    profiles: PairProfiles,
    units: Units,
    partners: Partners,
) -> dict[Measure, Excess]:
    """Change and direction beside partners; a step of length zero scores 0.

    Args:
        predicted: Expected profile of each predicted next cell.
        axes: Span the space in which steps are compared.
        profiles: Those of current and next cells.
        units: Of which successors are left out for intervals.
        partners: Cells in the place of each.
    """
    itself = np.arange(len(predicted))
    parts: dict[Measure, list[tuple[ndarray, ndarray, list[ndarray]]]] = {
        "change": [],
        "direction": [],
    }
    own = score_arranged(predicted, axes, profiles, units.levels, Arrangement(itself, itself))
    for partner in partners.of_cell:
        of_whom = np.argsort(partner)  # the cell whose partner it is
        terms = [(1, own)] + [
            (sign, score_arranged(predicted, axes, profiles, units.levels, Arrangement(*which)))
            for sign, which in (
                (-1, (partner, itself)),
                (1, (itself, of_whom)),
                (-1, (of_whom, of_whom)),
            )
        ]
        for measure, found in parts.items():
            first, second, third, fourth = (
                sign * np.nan_to_num(getattr(scores, measure)) for sign, scores in terms
            )
            mine, theirs = first + second, third + fourth
            without = [
                np.sum(
                    [
                        sign * np.nan_to_num(getattr(scores, f"{measure}_without")[level])
                        for sign, scores in terms
                    ],
                    axis=0,
                )
                for level in range(len(units.levels))
            ]
            found.append((mine + theirs[partner], mine + theirs, without))
    return {
        measure: Excess(
            of_cells=_rows([cells for cells, _, _ in found], len(predicted)),
            of_successors=_rows([owner for _, owner, _ in found], len(predicted)),
            without=tuple(
                _rows([without[k] for _, _, without in found], len(level.parts.cells))
                for k, level in enumerate(units.levels)
            ),
        )
        for measure, found in parts.items()
    }


def excess_of(
    score: Score,
    arrays: tuple[
        Float[ndarray, "cell vocab"], Float[ndarray, "cell vocab"], Float[ndarray, "cell vocab"]
    ],
    partner: Int[ndarray, " cell"],
) -> Float[ndarray, " cell"]:
    """The excess of any score over its null, cell by cell; an undefined score counts as 0.

    Args:
        score: Function of predicted, current and following profiles.
        arrays: These profiles.
        partner: The partner of each cell.
    """
    predicted, current, following = arrays
    own, both, predictions, successors = (
        np.nan_to_num(score(p, current, f))
        for p, f in (
            (predicted, following),
            (predicted[partner], following[partner]),
            (predicted[partner], following),
            (predicted, following[partner]),
        )
    )
    found: ndarray = own + both - predictions - successors
    return found


def excess_interval(excess: Excess, partners: Partners, units: Units) -> Interval:
    """The mean excess with its 95 % interval, by the jackknife over cells in all their roles.

    Without a unit, what its cells have as current cells or as partners is gone, and the successors
    of other cells lose its part.
    """
    if not excess.of_cells.size:
        return Interval(mean=np.nan, low=np.nan, high=np.nan, is_enough=False)
    total = np.array([excess.of_cells.size, excess.of_cells.sum()])
    halves, is_enough = [], True
    for level, without in zip(units.levels, excess.without, strict=True):
        changes = np.zeros((level.num_units, 2))
        cells, units_of_parts, weights, _ = level.parts
        scale = (1 - weights) * level.factors[units_of_parts]
        is_whole = weights >= WHOLE
        for partner, of_cells, before, after in zip(
            partners.of_cell, excess.of_cells, excess.of_successors, without, strict=True
        ):
            gone = -np.column_stack([np.ones(len(of_cells)), of_cells])
            other = level.unit[partner]
            np.add.at(changes, level.unit, gone)
            apart = other != level.unit
            np.add.at(changes, other[apart], gone[apart])
            moved = np.zeros((len(cells), 2))
            moved[:, 1] = scale * (after - before[cells])
            both = gone + gone[np.argsort(partner)]
            moved[is_whole] = both[cells[is_whole]]
            np.add.at(changes, units_of_parts, moved)
        effective = min(level.effective())
        halves.append(half_width(effective, total, changes))
        is_enough &= effective >= level.least
    half = float(np.max(halves))
    return Interval(
        mean=excess.mean, low=excess.mean - half, high=excess.mean + half, is_enough=is_enough
    )


def _rows(rows: Sequence[Float[ndarray, " column"]], number: int) -> Float[ndarray, "row column"]:
    return np.array(rows, dtype=np.float64).reshape(len(rows), number)
