"""Solve (I - Q) X = B, where Q are the transitions among the cells that are not absorbed yet.

I - Q is an M-matrix: its inverse has no negative entry. That gives a bound on the error of any
solution which needs no estimate: if some s > 0 has (I - Q) s >= c > 0 in every row, then
max |error| <= max(s) / c * max |residual| (Berman and Plemmons, 1994, Nonnegative Matrices, ch. 6).
The expected numbers of steps are such an s, and they are solved for anyway.

Few cells are solved directly, many by BiCGSTAB (van der Vorst, 1992), preconditioned by the
diagonal and by a coarse chain of groups of nearby cells (Nicolaides, 1987), which settles what
moves slowly through the whole data set. Cells are reordered by these groups, so that the entries of
a row lie near each other in memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.sparse.csgraph import dijkstra

DIRECT_CELLS = 2000
"""Up to so many cells are solved directly."""
TOLERANCE = 1e-8
"""Largest error of a probability, and of numbers of steps in relation to the largest of them."""
ACCEPTED = 1e-6
"""An error that still counts as solved where rounding allows no smaller one."""
_GROUPS = 500
_ROUNDING = 4e-15
_ROUNDS = 20
_ITERATIONS = 500


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Solutions, and what is known about their errors."""

    columns: Float[ndarray, "cell column"]
    """One for each right side."""
    steps: Float[ndarray, " cell"]
    """Expected number of steps until a cell is absorbed: the solution for a column of ones."""
    method: str
    """`direct` or `iterative`."""
    error: float
    """No value is wrong by more, relative to the largest entry of its column's right side."""
    iterations: int
    """Of BiCGSTAB, all columns together; 0 where it was not needed."""


def solve_absorption(
    transitions: sp.csr_array,
    live: Bool[ndarray, " cell"],
    sources: Float[ndarray, "live column"],
    *,
    direct: bool | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Solution:
    """Solve for several right sides at once, and for the numbers of steps.

    Args:
        transitions: All cells x all cells; rows sum to 1.
        live: The cells to solve for; each can reach a cell that is not one of them.
        sources: Right sides, with a row for each of these cells.
        direct: Whether to factorise the matrix; by default for `DIRECT_CELLS` or fewer.
        progress: Called with 1 for every column that is solved, the steps among them.

    Raises:
        ValueError: The iteration does not converge, or the chain takes so long that rounding
            errors grow beyond 1e-6.
    """
    rows = np.flatnonzero(live)
    if direct is None:
        direct = len(rows) <= DIRECT_CELLS
    solver = _Direct(transitions, rows) if direct else _Iterative(transitions, rows)
    ordered = sources[solver.order]
    steps = solver.solve(np.ones(len(rows)), TOLERANCE)
    progress(1)
    bound = _norm_of_inverse(solver.moves, steps)
    solved = np.zeros_like(ordered)
    residual = 0.0
    for column in range(ordered.shape[1]):
        source = ordered[:, column]
        scale = float(np.abs(source).max(initial=0)) or 1.0
        target = max(TOLERANCE / (bound * ordered.shape[1]), _ROUNDING)
        solved[:, column] = solver.solve(source / scale, target) * scale
        left = source - solved[:, column] + solver.moves @ solved[:, column]
        residual = max(residual, float(np.abs(left).max(initial=0)) / scale)
        progress(1)
    error = bound * residual
    if not error <= ACCEPTED:
        raise ValueError(
            f"fate probabilities could be wrong by {error:.1g}: some cells take {steps.max():.3g} "
            "steps on average to a terminal state, and rounding errors add up. Make more cells "
            "terminal, or use transitions that lead there sooner (a lower temperature)"
        )
    columns, in_order = np.empty_like(solved), np.empty_like(steps)
    columns[solver.order], in_order[solver.order] = solved, steps
    return Solution(
        columns=columns,
        steps=in_order,
        method="direct" if direct else "iterative",
        error=error,
        iterations=solver.iterations,
    )


class _Direct:
    """The LU factors of I - Q."""

    def __init__(self, transitions: sp.csr_array, rows: Int[ndarray, " live"]) -> None:
        self.order = np.arange(len(rows))
        self.iterations = 0
        self.moves = transitions[rows][:, rows]
        size = len(rows)
        left = sp.csc_array(sp.eye_array(size, format="csr") - self.moves)
        self._factors = sla.splu(left) if size else None

    def solve(self, source: Float[ndarray, " live"], target: float) -> Float[ndarray, " live"]:
        if self._factors is None:
            return source
        found = self._factors.solve(source)
        left = source - found + self.moves @ found
        if np.abs(left).max() > target:  # one step of refinement takes rounding errors out
            found += self._factors.solve(left)
        return found


class _Iterative:
    """BiCGSTAB, again from where it ended until the residual is small enough."""

    def __init__(self, transitions: sp.csr_array, rows: Int[ndarray, " live"]) -> None:
        group = nearby_groups(transitions, rows, _GROUPS)
        self.order = np.argsort(group, kind="stable")
        self.iterations = 0
        ordered = rows[self.order]
        self.moves = transitions[ordered][:, ordered]
        self.moves.sort_indices()
        self._apply = _operator(len(rows), lambda x: x - self.moves @ x)
        self._precondition = _operator(len(rows), self._two_levels(group[self.order]))

    def _two_levels(
        self, group: Int[ndarray, " live"]
    ) -> Callable[[Float[ndarray, " live"]], Float[ndarray, " live"]]:
        """The inverse of the diagonal, plus that of the chain of groups."""
        inverse = 1 / (1 - self.moves.diagonal())
        sizes = np.bincount(group)
        first = np.cumsum(sizes) - sizes
        members = sp.csr_array(
            (
                np.ones(len(group)),
                group.astype(np.int32),
                np.arange(len(group) + 1, dtype=np.int32),
            ),
            shape=(len(group), len(sizes)),
        )
        between = sp.csr_array(members.T) @ (self.moves @ members)
        coarse = sla.splu(sp.csc_array(sp.diags_array(sizes.astype(float)) - between))
        return lambda x: inverse * x + np.repeat(coarse.solve(np.add.reduceat(x, first)), sizes)

    def solve(self, source: Float[ndarray, " live"], target: float) -> Float[ndarray, " live"]:
        found = np.zeros_like(source)
        left, largest = source, float(np.abs(source).max(initial=0))
        for _ in range(_ROUNDS):
            if largest <= target:
                return found
            change = self._improve(left, max(target / 2, 1e-14 * largest))
            nearer = found + change
            left = source - nearer + self.moves @ nearer
            before, largest = largest, float(np.abs(left).max())
            if not largest < before:
                if before <= max(target, _ROUNDING * float(np.abs(found).max())):
                    return found
                break
            found = nearer
        if largest <= max(target, _ROUNDING * float(np.abs(found).max())):
            return found
        raise ValueError(
            f"the fates of {len(source):,} cells did not converge: {largest:.1g} is left where "
            f"{target:.1g} was expected, after {self.iterations:,} iterations. Make more cells "
            "terminal, or use transitions that lead there sooner (a lower temperature)"
        )

    def _improve(self, left: Float[ndarray, " live"], target: float) -> Float[ndarray, " live"]:
        """A correction; where BiCGSTAB breaks down without one, GMRES finds it."""
        # the largest residual is what counts; spread over all cells, their norm is this much more
        size = float(np.linalg.norm(left))
        norm = min(target * np.sqrt(len(left)) / 4, 0.1 * size)
        counted = {"atol": norm, "rtol": 0.0, "M": self._precondition}
        change, _ = sla.bicgstab(
            self._apply, left, maxiter=_ITERATIONS, callback=self._count, **counted
        )
        if np.linalg.norm(left - self._apply.matvec(change)) < 0.5 * size:  # False for NaN
            return change
        change, _ = sla.gmres(
            self._apply, left, restart=50, maxiter=10, callback=self._count,
            callback_type="pr_norm", **counted,
        )  # fmt: skip
        return change

    def _count(self, _: object) -> None:
        self.iterations += 1


def nearby_groups(
    transitions: sp.csr_array, rows: Int[ndarray, " live"], number: int
) -> Int[ndarray, " live"]:
    """Groups of cells that few transitions part, numbered from 0 without gaps.

    Each cell joins the nearest of `number` cells spread over the rows, by the number of transitions
    from there to it; those that none of them reaches are a group of their own.
    """
    size = transitions.shape[0]
    seeds = rows[np.linspace(0, len(rows) - 1, min(number, len(rows))).astype(np.int64)]
    seeds = np.unique(seeds)
    nearest = dijkstra(
        transitions, indices=seeds, unweighted=True, return_predecessors=True, min_only=True
    )[2]
    place = np.full(size + 1, len(seeds))
    place[seeds] = np.arange(len(seeds))
    of_cell = place[np.where(nearest < 0, size, nearest)]
    return np.unique(of_cell[rows], return_inverse=True)[1]


def _norm_of_inverse(moves: sp.csr_array, steps: Float[ndarray, " live"]) -> float:
    """A bound on the largest row sum of the inverse of I - Q; infinite where steps prove none."""
    if not len(steps):
        return 1.0
    gained = float((steps - moves @ steps).min())
    return float(steps.max()) / gained if gained > 0 and steps.min() > 0 else float("inf")


def _operator(
    size: int, apply: Callable[[Float[ndarray, " live"]], Float[ndarray, " live"]]
) -> sla.LinearOperator:
    return sla.LinearOperator((size, size), matvec=apply, dtype=np.float64)
