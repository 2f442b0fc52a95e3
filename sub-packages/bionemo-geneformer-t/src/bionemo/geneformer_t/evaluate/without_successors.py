"""Change and direction of whole cells, in any arrangement, and without some of the next cells.

An arrangement scores the successors of a cell with the current cell, or the prediction, of another
(`partners.py` says why). For intervals over next cells, every score is computed again without each
part of a cell's successors (see `Level`), from the mean profile of the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.scores.expression_change import change_correlation
from bionemo.geneformer_t.evaluate.scores.profiles import PairProfiles
from bionemo.geneformer_t.evaluate.scores.step_direction import cosines
from bionemo.geneformer_t.evaluate.units import Level

_NUMBERS_AT_ONCE = 2**21
_LEAST = 1e-6
"""Smaller values are what rounding leaves of a gene that no other successor has."""


class Arrangement(NamedTuple):
    """Whose prediction, and whose current cell, go with the successors of each cell."""

    prediction: Int[ndarray, " cell"]
    current: Int[ndarray, " cell"]


@dataclass(frozen=True, kw_only=True)
class ArrangedScores:
    """Scores of the successors of each cell, and without each part of them."""

    change: Float[ndarray, " cell"]
    """Correlation of the predicted with the true change."""
    direction: Float[ndarray, " cell"]
    """Cosine between the predicted and the true step."""
    change_without: tuple[Float[ndarray, " _"], ...]
    """For each level of units, one number for each part."""
    direction_without: tuple[Float[ndarray, " _"], ...]
    """The same."""


def score_arranged(
    predicted: Float[ndarray, "cell vocab"],
    axes: Float[ndarray, "axis vocab"],
    profiles: PairProfiles,
    levels: Sequence[Level],
    arrangement: Arrangement,
) -> ArrangedScores:
    """Score change and direction in an arrangement, also without each part of the successors.

    Args:
        predicted: Expected profile of each predicted next cell.
        axes: Span the space in which steps are compared.
        profiles: Those of current and next cells.
        levels: Name the parts.
        arrangement: What goes with the successors of each cell.
    """
    current, following = profiles.dense
    mine, now = predicted[arrangement.prediction], current[arrangement.current]
    steps, points = (mine - now) @ axes.T, now @ axes.T
    change, direction = [], []
    for level in levels:
        sums = _Sums.of(mine, now, following)
        without, left = (np.full(len(level.parts.cells), np.nan) for _ in range(2))
        for some, gone in _parts(profiles, level):
            cells, rest = level.parts.cells[some], 1 - level.parts.weights[some]
            without[some] = sums.without(cells, gone, np.maximum(rest, _LEAST))
            left_points = (following[cells] @ axes.T - gone @ axes.T) / np.maximum(rest, _LEAST)[
                :, None
            ]
            left[some] = cosines(steps[cells], left_points - points[cells])
        change.append(without)
        direction.append(left)
    return ArrangedScores(
        change=change_correlation(mine, now, following),
        direction=cosines(steps, following @ axes.T - points),
        change_without=tuple(change),
        direction_without=tuple(direction),
    )


def _parts(profiles: PairProfiles, level: Level) -> Iterator[tuple[slice, sp.csr_array]]:
    """The weighted profiles of each part of the successors of current cells, some at a time."""
    number, gathering = len(profiles.of_pair), level.parts.gathering
    to_next = sp.csr_array(
        (np.ones(number), (np.arange(number), profiles.of_pair)),
        shape=(number, profiles.next_cells.shape[0]),
    )
    gathering = gathering @ to_next
    size = max(1, _NUMBERS_AT_ONCE // profiles.num_ranks)
    for first in range(0, gathering.shape[0], size):
        some = slice(first, first + size)
        yield some, sp.csr_array(gathering[some] @ profiles.next_cells)


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """Sums over the genes that a current cell or a successor ranks, for correlations of changes.

    The correlation without a part follows from these and from sums over the part's genes alone.
    """

    predicted: Float[ndarray, "cell vocab"]
    current: Float[ndarray, "cell vocab"]
    following: Float[ndarray, "cell vocab"]
    table: Float[ndarray, "cell sum"]
    """Genes, then sums of x, xx, xf, xc, f, c, ff, fc, cc; x is the predicted change."""

    @classmethod
    def of(
        cls,
        predicted: Float[ndarray, "cell vocab"],
        current: Float[ndarray, "cell vocab"],
        following: Float[ndarray, "cell vocab"],
    ) -> "_Sums":
        rows = []
        for mine, now, then in zip(predicted, current, following, strict=True):
            genes = np.flatnonzero((now > 0) | (then > 0))
            c, f = now[genes].astype(np.float64), then[genes].astype(np.float64)
            x = mine[genes] - c
            rows.append(
                [len(genes), x.sum(), x @ x, x @ f, x @ c, f.sum(), c.sum(), f @ f, f @ c, c @ c]
            )
        return cls(
            predicted=predicted,
            current=current,
            following=following,
            table=np.array(rows, dtype=np.float64).reshape(-1, 10),
        )

    def without(
        self,
        cells: Int[ndarray, " part"],
        gone: sp.csr_array,
        rest: Float[ndarray, " part"],
    ) -> Float[ndarray, " part"]:
        """The correlations without parts of the successors.

        Args:
            cells: Whose successors each part belongs to.
            gone: Parts x vocabulary, weighted.
            rest: Weight of the other successors.
        """
        part = np.repeat(np.arange(len(cells)), np.diff(gone.indptr))
        g, owner, genes = gone.data.astype(np.float64), cells[part], gone.indices
        c, f = self.current[owner, genes], self.following[owner, genes]
        x = self.predicted[owner, genes] - c.astype(np.float64)
        nowhere = (f - g < _LEAST * rest[part]) & (c == 0)

        def total(values: ndarray) -> Float[ndarray, " part"]:
            return np.bincount(part, values, minlength=len(cells))

        n, sx, sxx, xf, xc, sf, sc, ff, fc, cc = self.table[cells].T
        n = n - total(nowhere)
        sx, sxx = sx - total(x * nowhere), sxx - total(x * x * nowhere)
        sy = (sf - total(g)) / rest - sc
        syy = (ff - 2 * total(f * g) + total(g * g)) / rest**2 - 2 * (fc - total(g * c)) / rest + cc
        sxy = (xf - total(x * g)) / rest - xc
        with np.errstate(invalid="ignore", divide="ignore"):
            squares = (sxx - sx**2 / n) * (syy - sy**2 / n)
            found: ndarray = (sxy - sx * sy / n) / np.sqrt(squares)
        return np.where(np.isfinite(found) & (squares > _LEAST**2), found, np.nan)
