"""Transitions among some cells, in the order of groups of nearby cells, in 32 bits.

Products with a vector are fast where the entries of a row are near each other in memory. This copy
takes less than half of the memory of the matrix, and is for corrections, not for results: those are
checked with the matrix itself. It is built block by block of rows.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class GroupedChain:
    """Some cells of a chain, group after group."""

    order: Int[ndarray, " live"]
    """Positions among the cells in their own order."""
    moves: sp.csr_array
    """Live x live, float32, in this order; rows sum to less than 1 where other cells follow."""
    sizes: Int[ndarray, " group"]
    """Cells of each group."""
    leaving: Float[ndarray, "group group"]
    """The same for groups: their sizes, minus the sums of transitions from one to another."""


def grouped_chain(
    transitions: sp.csr_array, rows: Int[ndarray, " live"], number: int
) -> GroupedChain:
    """The transitions among some cells, in order.

    Args:
        transitions: All cells x all cells.
        rows: The cells to keep.
        number: Of groups, at most, and one for cells that are reached from no group's middle.
    """
    group = nearby_groups(transitions, rows, number)
    order: Int[ndarray, " live"] = np.argsort(group, kind="stable").astype(np.int32)
    cells, group = rows[order], group[order]
    sizes = np.bincount(group)
    place = np.full(transitions.shape[0], -1, dtype=np.int32)
    place[cells] = np.arange(len(cells), dtype=np.int32)
    ends = np.zeros(len(cells) + 1, dtype=transitions.indptr.dtype)
    held = int(np.diff(transitions.indptr)[rows].sum())
    data, indices = np.empty(held, np.float32), np.empty(held, ends.dtype)
    leaving = np.diag(sizes.astype(float))
    for start in range(0, len(cells), _ROWS_AT_ONCE):
        block = transitions[cells[start : start + _ROWS_AT_ONCE]]
        of_row = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
        column = place[block.indices]
        kept = column >= 0
        of_row, column, values = of_row[kept], column[kept], block.data[kept]
        np.subtract.at(leaving, (group[start:][of_row], group[column]), values)
        until = np.zeros(block.shape[0] + 1, dtype=ends.dtype)
        until[1:] = np.cumsum(np.bincount(of_row, minlength=block.shape[0]))
        among = sp.csr_array((values, column, until), shape=(block.shape[0], len(cells)))
        among.sort_indices()
        there = slice(ends[start], ends[start] + among.nnz)
        data[there], indices[there] = among.data, among.indices
        ends[start + 1 : start + 1 + block.shape[0]] = ends[start] + until[1:]
    moves = sp.csr_array(
        (data[: ends[-1]], indices[: ends[-1]], ends), shape=(len(cells), len(cells))
    )
    return GroupedChain(order=order, moves=moves, sizes=sizes, leaving=leaving)


def nearby_groups(
    transitions: sp.csr_array, rows: Int[ndarray, " live"], number: int
) -> Int[ndarray, " live"]:
    """Groups of cells that few transitions part, numbered from 0 without gaps.

    Each cell joins one of the nearest of `number` cells spread over the rows, by the number of
    transitions from there to it; those that none of them reaches are a group of their own.
    """
    seeds = rows[np.linspace(0, len(rows) - 1, min(number, len(rows))).astype(np.int64)]
    front = seeds = np.unique(seeds)
    group = np.full(transitions.shape[0], -1, dtype=np.int32)
    group[seeds] = np.arange(len(seeds), dtype=np.int32)
    while len(front):
        reached = [
            _join(transitions, group, front[start : start + _ROWS_AT_ONCE])
            for start in range(0, len(front), _ROWS_AT_ONCE)
        ]
        front = np.concatenate(reached)
    group[group < 0] = len(seeds)
    number_of = np.cumsum(np.bincount(group[rows]) > 0) - 1
    return number_of.astype(np.int32)[group[rows]]


def _join(
    transitions: sp.csr_array, group: Int[ndarray, " cell"], front: Int[ndarray, " front"]
) -> Int[ndarray, " reached"]:
    """Put the followers of some cells that have no group yet into theirs; returns these."""
    starts = transitions.indptr[front]
    lengths = transitions.indptr[front + 1] - starts
    entries = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    entries += np.arange(len(entries), dtype=entries.dtype)
    cells, parent = transitions.indices[entries], np.repeat(group[front], lengths)
    is_new = group[cells] < 0
    cells = cells[is_new]
    group[cells] = parent[is_new]
    return np.unique(cells)
