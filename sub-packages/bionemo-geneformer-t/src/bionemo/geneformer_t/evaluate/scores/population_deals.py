"""Random splits of the scored cells for populations, all samples of equally many single cells.

Next cells of the first half are the truth; everything that is held against it comes from the second
half: its next cells (the noise ceiling), its current cells as they are (no change), and cells drawn
from the predictions for these current cells. So no cell is on both sides, although many cells are
current cells and next cells at once. A second sample of each population, from the first half, tells
how far two samples of it are apart. Training cells are those that no axis was fitted on.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

NUM_SPLITS = 20
MAX_CELLS = 300
"""Cells of each sample, at most; the time grows with their square or more."""
Samples = tuple[Int[ndarray, " cell"], Int[ndarray, " cell"]]
"""Rows of a sample in the second half, and of one in the first half."""
_FRACTION_OF_STEP = 0.1
"""How far the times of cells "of the same times" may be off, in steps from current to next."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """Times of the cells that are compared, NaN where they are not known."""

    following: Float[ndarray, " next_cell"]
    training: Float[ndarray, " training_cell"]
    step: float
    """Mean time from a current cell to its successors, to tell what is near in time."""

    def same(self, rows: Samples, rng: np.random.Generator) -> Samples | None:
        """Two samples of training cells with the times of two of next cells; None without them.

        Args:
            rows: Of the next cells.
            rng: Draws among training cells of equal times.
        """
        from scipy.optimize import linear_sum_assignment

        wanted = self.following[np.concatenate(rows)]
        known = rng.permutation(np.flatnonzero(np.isfinite(self.training)))
        if len(known) < len(wanted) or not np.isfinite(wanted).all():
            return None
        apart = np.abs(wanted[:, None] - self.training[known])
        order, columns = linear_sum_assignment(apart)
        if not apart[order, columns].mean() <= _FRACTION_OF_STEP * abs(self.step):
            return None
        one, other = np.split(known[columns], 2)
        return one, other


@dataclass(frozen=True, kw_only=True)
class Deal:
    """One split: of each kind, rows of two samples of equally many cells, which share none."""

    following: Samples
    """The second one is the truth."""
    current: Samples
    training: Samples
    same_times: Samples | None
    """Training cells with the times of `following`; None where there are none, or no times."""

    @property
    def truth(self) -> Int[ndarray, " cell"]:
        """Next cells of the first half, from which distances are measured."""
        return self.following[1]


def deal_cells(
    current_cells: Int[ndarray, " current_cell"],
    next_cells: Int[ndarray, " next_cell"],
    num_training: int,
    rng: np.random.Generator,
    times: Times | None = None,
) -> tuple[Deal, ...]:
    """Split cells in two, `NUM_SPLITS` times; nothing where a sample has fewer than two cells.

    Args:
        current_cells: Which cell each current cell is; a cell is in one half in all its roles.
        next_cells: The same of the next cells.
        num_training: Training cells that may be drawn.
        rng: Splits and draws.
        times: Of next cells and training cells, where they are known.
    """
    firsts = [_first_half(current_cells, next_cells, rng) for _ in range(NUM_SPLITS)]
    sizes = [
        np.count_nonzero(first[cells] == is_first)
        for first in firsts
        for cells in (current_cells, next_cells)
        for is_first in (False, True)
    ]
    size = int(np.min([*sizes, num_training // 2, MAX_CELLS]))
    if size < 2:
        return ()
    deals = []
    for first in firsts:
        following, current = (
            (_some(~first[cells], size, rng), _some(first[cells], size, rng))
            for cells in (next_cells, current_cells)
        )
        one, other = np.split(rng.permutation(num_training)[: 2 * size], 2)
        deals.append(
            Deal(
                following=following,
                current=current,
                training=(np.sort(one), np.sort(other)),
                same_times=None if times is None else times.same(following, rng),
            )
        )
    return tuple(deals)


def _first_half(
    current_cells: Int[ndarray, " current_cell"],
    next_cells: Int[ndarray, " next_cell"],
    rng: np.random.Generator,
) -> Bool[ndarray, " cell"]:
    """Which cells are in the first half: half of those that are both, and of those that are not."""
    is_first = np.zeros(1 + max(current_cells.max(), next_cells.max()), dtype=bool)
    for some in (
        np.intersect1d(current_cells, next_cells),
        np.setdiff1d(next_cells, current_cells),
        np.setdiff1d(current_cells, next_cells),
    ):
        is_first[rng.permutation(some)[: len(some) // 2]] = True
    return is_first


def _some(
    which: Bool[ndarray, " row"], number: int, rng: np.random.Generator
) -> Int[ndarray, " cell"]:
    """Some rows in order, so that the same rows give the same sums to the last digit."""
    return np.sort(rng.permutation(np.flatnonzero(which))[:number])
