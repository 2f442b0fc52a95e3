"""Walks over real cells: each step goes to a cell that is drawn by the current cell's transitions.

All walks take a step at once. What is drawn is a function of (seed, walk, step) alone, so that more
walks or more steps leave the first ones as they are.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.data.sampling import stream_keys, uniform


def walks(
    transitions: sp.csr_array, starts: Int[ndarray, " walk"], num_steps: int, seed: int
) -> Int[ndarray, "walk time"]:
    """The cells that each walk visits.

    Args:
        transitions: Cells x cells, current cells in rows, each of which sums to 1.
        starts: The first cell of each walk.
        num_steps: Steps.
        seed: Of what is drawn.

    Returns:
        Walks x (steps + 1), the first cell first.
    """
    visited = np.empty((len(starts), num_steps + 1), dtype=np.int64)
    visited[:, 0] = starts
    numbers = np.arange(len(starts))
    keys = stream_keys(seed, np.zeros_like(numbers), numbers)
    sums = np.cumsum(transitions.data)
    for step in range(num_steps):
        fractions = uniform(keys, np.full(len(starts), step))
        entries = drawn_entries(transitions, sums, visited[:, step], fractions)
        visited[:, step + 1] = transitions.indices[entries]
    return visited


def drawn_entries(
    transitions: sp.csr_array,
    sums: Float[ndarray, " entry"],
    rows: Int[ndarray, " draw"],
    fractions: Float[ndarray, " draw"],
) -> Int[ndarray, " draw"]:
    """Entries of a sparse matrix, one drawn from each row in proportion to its values.

    The cumulative distribution is inverted in all rows by one search, because the cumulative sums
    of the whole matrix rise from row to row. Their last digits limit probabilities to some 1e-16
    times the number of rows.

    Args:
        transitions: Positive values.
        sums: Cumulative sums of its values, over all rows.
        rows: Rows to draw from, none of them empty.
        fractions: Uniform between 0 and 1, one for each draw.

    Returns:
        Places in `transitions.data` and `transitions.indices`.
    """
    first, last = transitions.indptr[rows].astype(np.int64), transitions.indptr[rows + 1] - 1
    before = np.where(first > 0, sums[first - 1], 0)
    found = np.searchsorted(sums, before + fractions * (sums[last] - before), side="right")
    return np.clip(found, first, last).astype(np.int64)


def starting_cells(cells: Int[ndarray, " start"], number: int, seed: int) -> Int[ndarray, " walk"]:
    """The first cell of each walk: all starting cells in random order, again from the first on."""
    order = np.random.default_rng([seed, 0]).permutation(cells)
    return np.resize(order, number)
