"""Couplings of consecutive time points by optimal transport, from moscot (extra `ot`).

moscot's `TemporalProblem` (Klein et al., 2025, Nature; after Waddington-OT, Schiebinger et al.,
2019, Cell) moves the cells of one time point onto those of the next with the least total cost, so
that the cells there have an origin. Cost is the squared Euclidean distance, scaled by its mean.
Every cell sends all its mass. The mass that a later cell receives may differ from 1 / n, at a
price: kinds of cells that only one of two samples holds would otherwise be matched to whatever is
left over.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.neighbors.optional_packages import need

EPSILON = 1e-2
"""Strength of the entropic regularisation, against a mean cost of 1."""
RHO = 1.0
"""Price of later cells' unequal masses: the weight, against a mean cost of 1, of the divergence
(Kullback-Leibler) of what they receive from equal masses. Measured in docs/log.md."""
TAU_LATER = RHO / (RHO + EPSILON)
"""The same as moscot takes it. A tau means nothing without its epsilon."""
_OUTER = (0.05, 0.95)
"""The quantiles of the later cells' masses that are reported."""
_BLOCK = 1024
"""Cells whose row of the coupling is held at once; larger problems are also solved in blocks."""
_MAX_DENSE = 10_000
"""Largest time point whose costs are held at once: 400 MB with another of its size."""


def couplings(
    points: Float[ndarray, "cell component"],
    times: Float[ndarray, " cell"],
    num_neighbors: int,
) -> tuple[sp.csr_array, list[str]]:
    """The largest entries of each cell's row in the coupling of its time point with the next.

    Args:
        points: Coordinates of the cells.
        times: Time of each cell; those where it is not finite take no part.
        num_neighbors: Entries of each row that are kept.

    Returns:
        Cells x cells; and notes: how much mass was moved between which time points, and where a
        coupling did not converge.

    Raises:
        ImportError: moscot is not installed.
    """
    need("moscot", "time_method 'ot'")
    with _quiet():
        solutions = _solve(points, times)
    rows, columns, masses, moved, failed = [], [], [], [], []
    for now, later in pairwise(np.unique(times[np.isfinite(times)])):
        solution = solutions[now, later]
        kept = solution.sparsify(mode="mass", value=1.0, batch_size=_BLOCK, max_k=num_neighbors)
        edges = sp.coo_array(kept.transport_matrix)
        rows.append(np.flatnonzero(times == now)[edges.row])
        columns.append(np.flatnonzero(times == later)[edges.col])
        masses.append(edges.data)
        moved.append(f"{now:g} to {later:g}: {_mass_moved(solution)}")
        if not solution.converged:
            failed.append(f"the coupling of time {now:g} with {later:g} did not converge")
    edges = (np.concatenate(masses), (np.concatenate(rows), np.concatenate(columns)))
    low, high = _OUTER
    note = (
        "mass that optimal transport moves between time points, and in brackets what a cell of the "
        f"later one receives, as a multiple of an equal share (quantiles {low:g} and {high:g}): "
        f"{', '.join(moved)}"
    )
    return sp.csr_array(sp.coo_array(edges, shape=(len(times), len(times)))), [note, *failed]


def _mass_moved(solution: Any) -> str:
    """The sum of a coupling, and quantiles of the sums of its columns."""
    received = np.asarray(solution.b, dtype=np.float64)
    low, high = np.quantile(received * len(received), _OUTER)
    return f"{received.sum():.1%} ({low:.2g} to {high:.2g})"


def _solve(points: ndarray, times: ndarray) -> dict[tuple[float, float], Any]:
    import anndata
    import pandas as pd
    from moscot.problems.time import TemporalProblem

    timed = np.flatnonzero(np.isfinite(times))
    cells = anndata.AnnData(
        np.zeros((len(timed), 1), dtype=np.float32),  # moscot wants genes, and does not read them
        obs=pd.DataFrame({"time": times[timed]}, index=timed.astype(str)),
        obsm={"points": np.asarray(points[timed], dtype=np.float32)},
    )
    largest = np.unique(times[timed], return_counts=True)[1].max()
    problem = TemporalProblem(cells).prepare("time", joint_attr="points")
    batch = _BLOCK if largest > _MAX_DENSE else None
    return problem.solve(epsilon=EPSILON, tau_a=1.0, tau_b=TAU_LATER, batch_size=batch).solutions


@contextmanager
def _quiet() -> Iterator[None]:
    """Moscot announces every problem; only `run` speaks to users."""
    import moscot._logging  # noqa: F401 - sets its logger to INFO when it is first imported

    logger = logging.getLogger("moscot._logging")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
