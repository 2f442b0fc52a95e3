"""Solve (I - Q) X = B, where Q are the transitions among the cells that are not absorbed yet.

I - Q is an M-matrix: its inverse has no negative entry. That gives a bound on the error of any
solution which needs no estimate: if some s > 0 has (I - Q) s >= c > 0 in every row, then
max |error| <= max(s) / c * max |residual| (Berman and Plemmons, 1994, Nonnegative Matrices, ch. 6).
The expected numbers of steps are such an s, and they are solved for anyway.

Few cells are solved directly, many by BiCGSTAB (van der Vorst, 1992), preconditioned by the
diagonal and by a coarse chain of groups of nearby cells (Nicolaides, 1987), which settles what
moves slowly through the whole data set. The iterations run in 32 bits and give corrections of a
solution whose residual is computed in 64 (iterative refinement; Higham and Mary, 2022, Acta
Numerica 31); where 32 bits are too few, as in chains that take long to end, they run in 64.
Q is never copied in 64 bits: the residual takes the whole matrix, with 0 for absorbed cells.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.fates.grouped_chain import grouped_chain

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
_SCALE = 1e4
"""Largest residual that iterations start with: SciPy's BiCGSTAB ends at products below 1e-14."""


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


Vector = Float[ndarray, " live"]
Ordered = Float[ndarray, " live"]
"""In the order of groups."""


def solve_absorption(
    transitions: sp.csr_array,
    live: Bool[ndarray, " cell"],
    sources: Float[ndarray, "live column"] | sp.csc_array,
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
    rows = np.flatnonzero(live).astype(np.int32)
    if direct is None:
        direct = len(rows) <= DIRECT_CELLS
    solver = _Direct(transitions, rows) if direct else _Iterative(transitions, rows)
    steps = solver.solve(np.ones(len(rows)), TOLERANCE)
    progress(1)
    bound = _norm_of_inverse(steps, solver.remaining(steps))
    columns = np.zeros(sources.shape, order="F")
    residual = 0.0
    for number in range(columns.shape[1]):
        source = _column(sources, number)
        scale = float(np.abs(source).max(initial=0)) or 1.0
        target = max(TOLERANCE / (bound * columns.shape[1]), _ROUNDING)
        source /= scale
        columns[:, number] = solver.solve(source, target)
        source -= solver.remaining(columns[:, number])
        columns[:, number] *= scale
        residual = max(residual, float(np.abs(source, out=source).max(initial=0)))
        progress(1)
    error = bound * residual
    if not error <= ACCEPTED:
        raise ValueError(
            f"fate probabilities could be wrong by {error:.1g}: some cells take {steps.max():.3g} "
            "steps on average to a terminal state, and rounding errors add up. Make more cells "
            "terminal, or use transitions that lead there sooner (a lower temperature)"
        )
    return Solution(
        columns=columns,
        steps=steps,
        method="direct" if direct else "iterative",
        error=error,
        iterations=solver.iterations,
    )


class _Equations:
    """The matrix I - Q, without a copy of Q."""

    def __init__(self, transitions: sp.csr_array, rows: Int[ndarray, " live"]) -> None:
        self._transitions, self._rows = transitions, rows
        self.iterations = 0

    def remaining(self, x: Vector) -> Vector:
        """(I - Q) x: what a cell has beyond the mean of those that follow it."""
        everywhere = np.zeros(self._transitions.shape[0])
        everywhere[self._rows] = x
        everywhere = self._transitions @ everywhere
        found: Vector = everywhere[self._rows]
        return np.subtract(x, found, out=found)


class _Direct(_Equations):
    """The LU factors of I - Q."""

    def __init__(self, transitions: sp.csr_array, rows: Int[ndarray, " live"]) -> None:
        super().__init__(transitions, rows)
        moves = transitions[rows][:, rows]
        left = sp.csc_array(sp.eye_array(len(rows), format="csr") - moves)
        self._factors = sla.splu(left) if len(rows) else None

    def solve(self, source: Vector, target: float) -> Vector:
        if self._factors is None:
            return source
        found = self._factors.solve(source)
        left = source - self.remaining(found)
        if np.abs(left).max() > target:  # one step of refinement takes rounding errors out
            found += self._factors.solve(left)
        return found


class _Iterative(_Equations):
    """BiCGSTAB, again from where it ended until the residual is small enough."""

    def __init__(self, transitions: sp.csr_array, rows: Int[ndarray, " live"]) -> None:
        super().__init__(transitions, rows)
        chain = grouped_chain(transitions, rows, _GROUPS)
        self._moves, self._order = chain.moves, chain.order
        self._inverse = 1 / (1 - self._moves.diagonal())
        self._sizes, self._first = chain.sizes, np.cumsum(chain.sizes) - chain.sizes
        self._coarse = sla.splu(sp.csc_array(chain.leaving))

    def solve(self, source: Vector, target: float) -> Vector:
        found = np.zeros_like(source)
        left, largest = source, float(np.abs(source).max(initial=0))
        kind: type[np.floating] = np.float32
        for _ in range(_ROUNDS):
            if largest <= target:
                return found
            nearer = self._correction(left, largest, target / 2, kind)
            nearer += found
            remainder = self.remaining(nearer)
            np.subtract(source, remainder, out=remainder)
            before, after = largest, float(np.abs(remainder).max())
            if after < before:  # False for NaN
                found, left, largest = nearer, remainder, after
            elif kind is np.float64:
                break
            if not after <= max(target, before / 10):
                kind = np.float64
        if largest <= max(target, _ROUNDING * float(np.abs(found).max())):
            return found
        raise ValueError(
            f"the fates of {len(source):,} cells did not converge: {largest:.1g} is left where "
            f"{target:.1g} was expected, after {self.iterations:,} iterations. Make more cells "
            "terminal, or use transitions that lead there sooner (a lower temperature)"
        )

    def _correction(
        self, left: Vector, largest: float, target: float, kind: type[np.floating]
    ) -> Vector:
        """What solves the equations for a residual, about; in the order of groups on the way."""
        scale = _SCALE / largest
        ordered = (left[self._order] * scale).astype(kind)
        if kind is np.float32:
            change = self._improve(ordered, max(target * scale, 1e-5 * _SCALE), self._product)
        else:
            change = self._improve(ordered, max(target * scale, 1e-14 * _SCALE), self._exactly)
        placed = np.empty_like(left)
        placed[self._order] = change
        placed /= scale
        return placed

    def _product(self, x: Ordered) -> Ordered:
        return x - self._moves @ x

    def _exactly(self, x: Ordered) -> Ordered:
        """The same in 64 bits, with the matrix itself, whose order of cells is another."""
        placed = np.empty_like(x)
        placed[self._order] = x
        return self.remaining(placed)[self._order]

    def _precondition(self, x: Ordered) -> Ordered:
        """The inverse of the diagonal, plus that of the chain of groups."""
        coarse = self._coarse.solve(np.add.reduceat(x, self._first, dtype=np.float64))
        found = np.repeat(coarse.astype(x.dtype), self._sizes)
        found += self._inverse * x
        return found

    def _improve(
        self, left: Ordered, target: float, apply: Callable[[Ordered], Ordered]
    ) -> Ordered:
        """A correction; where BiCGSTAB breaks down without one, GMRES finds it in 64 bits."""
        # the largest residual is what counts; spread over all cells, their norm is this much more
        size = float(np.linalg.norm(left))
        norm = min(target * np.sqrt(len(left)) / 4, 0.1 * size)
        product, inverse = (
            sla.LinearOperator((len(left), len(left)), matvec=one, dtype=left.dtype)
            for one in (apply, self._precondition)
        )
        counted = {"atol": norm, "rtol": 0.0, "M": inverse, "callback": self._count}
        change, _ = sla.bicgstab(product, left, maxiter=_ITERATIONS, **counted)
        if left.dtype == np.float32 or np.linalg.norm(left - apply(change)) < 0.5 * size:
            return change  # the norm of NaN is not below
        change, _ = sla.gmres(
            product, left, restart=50, maxiter=10, callback_type="pr_norm", **counted
        )
        return change

    def _count(self, _: object) -> None:
        self.iterations += 1


def _column(sources: Float[ndarray, "live column"] | sp.csc_array, number: int) -> Vector:
    if isinstance(sources, ndarray):
        return sources[:, number].copy()
    column: Vector = sources[:, [number]].toarray().ravel()
    return column


def _norm_of_inverse(steps: Vector, gained: Vector) -> float:
    """A bound on the largest row sum of the inverse of I - Q; infinite where steps prove none."""
    if not len(steps):
        return 1.0
    least = float(gained.min())
    return float(steps.max()) / least if least > 0 and steps.min() > 0 else float("inf")
