"""Where transitions lead on a map, beyond what the density of cells alone would do.

Even a chain without any direction moves cells toward where cells are many, for example away from
the edge of a map. As in velocity plots (Bergen et al., 2020), the mean step of such a chain is
subtracted: that of a cell which goes to the nearest others with equal probability, to so many of
them that its mean step is as long.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.report.figures.cell_arrows import draw_mean_arrows
from bionemo.geneformer_t.report.figures.graph_map import MOST_CELLS, some_of

_MOST_OTHERS = 2_000
"""Cells among which the chain without direction moves."""
_LEAST_OTHERS = 10
_LEAST_MOVED = 1e-9
"""Probability of a step to another cell from which on a cell moves."""
_AT_ONCE = 256
_NOTE = {"fontsize": 9, "color": "#444444", "loc": "left"}


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Expected displacements of cells that move."""

    cells: Int[ndarray, " current_cell"]
    moves: Float[ndarray, "current_cell 2"]
    lengths: Float[ndarray, " current_cell"]
    """Expected lengths of the steps, whatever their direction."""


def expected_moves(
    transitions: sp.csr_array,
    coordinates: Float[ndarray, "cell 2"],
    cells: Int[ndarray, " current_cell"],
) -> tuple[Float[ndarray, "current_cell 2"], Float[ndarray, " current_cell"]]:
    """The expected displacement of cells, and the expected length of their step.

    Args:
        transitions: Rows sum to 1.
        coordinates: The place of each cell.
        cells: Those that are asked about.
    """
    rows = sp.csr_array(transitions[cells])
    starts = coordinates[cells]
    moves = rows @ coordinates - starts
    steps = coordinates[rows.indices] - np.repeat(starts, np.diff(rows.indptr), axis=0)
    lengths = sp.csr_array(
        (rows.data * np.linalg.norm(steps, axis=1), rows.indices, rows.indptr), shape=rows.shape
    )
    return moves, np.asarray(lengths.sum(axis=1)).ravel()


def moves_by_density(
    coordinates: Float[ndarray, "cell 2"],
    cells: Int[ndarray, " current_cell"],
    lengths: Float[ndarray, " current_cell"],
    others: Int[ndarray, " other"],
) -> Float[ndarray, "current_cell 2"]:
    """The mean displacement to the nearest others, as many as make the mean step as long as given.

    Others that are ten or fewer are taken together and their displacement is scaled to the length.

    Args:
        coordinates: The place of each cell.
        cells: Those that are asked about.
        lengths: The mean length of their steps.
        others: Cells to go to; none goes to itself.
    """
    moves = np.zeros((len(cells), 2))
    for start in range(0, len(cells), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        steps = coordinates[others] - coordinates[cells[part], None]
        distances = np.linalg.norm(steps, axis=-1)
        distances[cells[part, None] == others] = np.inf
        order = np.argsort(distances, axis=1, kind="stable")
        near = np.take_along_axis(distances, order, axis=1)
        count = np.arange(1, near.shape[1] + 1)
        totals = np.cumsum(np.where(np.isfinite(near), near, 0), axis=1) / count
        allowed = np.isfinite(near) & (totals <= lengths[part, None] * (1 + 1e-9))
        number = np.maximum(allowed.sum(axis=1), min(_LEAST_OTHERS, np.isfinite(near).sum(1).min()))
        rows = np.arange(len(number))
        summed = np.cumsum(np.take_along_axis(steps, order[..., None], axis=1), axis=1)
        mean, long = summed[rows, number - 1] / number[:, None], totals[rows, number - 1]
        scale = np.minimum(
            1, np.divide(lengths[part], long, out=np.ones_like(long), where=long > 0)
        )
        moves[part] = mean * scale[:, None]
    return moves


def transition_moves(
    transitions: sp.csr_array,
    coordinates: Float[ndarray, "cell 2"],
    rng: np.random.Generator,
    *,
    beyond_density: bool = True,
) -> Moves:
    """The expected displacement of the cells that move, or of a sample where they are many.

    Args:
        transitions: Rows sum to 1. Cells that stay where they are, and empty rows, are left out.
        coordinates: The place of each cell.
        rng: Draws samples of cells.
        beyond_density: Subtract the displacement of a chain without direction.
    """
    cells = np.flatnonzero(transitions.sum(axis=1) - transitions.diagonal() > _LEAST_MOVED)
    cells = cells[some_of(len(cells), MOST_CELLS, rng)]
    moves, lengths = expected_moves(transitions, coordinates, cells)
    if beyond_density and len(coordinates) > 1:
        others = some_of(len(coordinates), _MOST_OTHERS, rng)
        moves = moves - moves_by_density(coordinates, cells, lengths, others)
    return Moves(cells=cells, moves=moves, lengths=lengths)


def draw_transition_arrows(
    axes: Any,
    coordinates: Float[ndarray, "cell 2"],
    found: Moves,
    name: str,
) -> None:
    """Draw mean arrows on a panel of cells, and below it what they are."""
    if not len(found.cells):
        axes.set_xlabel(f"{name}; no cell moves", **_NOTE)
        return
    shown = draw_mean_arrows(axes, coordinates[found.cells], found.moves, found.lengths)
    number = f"{len(found.cells):,} cells"
    axes.set_xlabel(
        f"{name}; mean steps of {number}, at {shown:.2g} times their length or less", **_NOTE
    )
