"""Next cells drawn for each current cell, by the row of its transition probabilities."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.data.sampling import stream_keys, uniform
from bionemo.geneformer_t.fates.chain_structure import checked_transitions
from bionemo.geneformer_t.fates.sample_settings import SampleSettings
from bionemo.geneformer_t.fates.walks import drawn_entries


@dataclass(frozen=True, kw_only=True)
class DrawnCells:
    """Draws, those of the first current cell first."""

    current: Int[ndarray, " draw"]
    following: Int[ndarray, " draw"]
    probability: Float[ndarray, " draw"]
    number: Int[ndarray, " draw"]
    """0, 1, ... of the draws of a current cell."""
    notes: tuple[str, ...]


def drawn_cells(
    matrix: Any,
    cells: "pd.Index[str]",
    num_candidates: int,
    where: str,
    settings: SampleSettings,
    *,
    among: bool,
) -> DrawnCells:
    """Draw from the rows of a matrix, independently and with replacement.

    Args:
        matrix: Cells x candidates, transition probabilities.
        cells: Names of the current cells.
        num_candidates: Columns.
        where: What to call the matrix in messages.
        settings: How many, and by which seed.
        among: The candidates are the cells themselves: one that goes nowhere else stays, which is
            counted.

    Raises:
        ValueError: It is no matrix of transition probabilities of these cells and candidates.
    """
    rows = checked_transitions(matrix, cells.to_numpy(), where, num_candidates)
    with_some = np.flatnonzero(np.diff(rows.indptr))
    current = np.repeat(with_some, settings.num_cells)
    number = np.tile(np.arange(settings.num_cells), len(with_some))
    keys = stream_keys(settings.seed, np.zeros_like(current), current)
    entries = drawn_entries(rows, np.cumsum(rows.data), current, uniform(keys, number))
    following = rows.indices[entries].astype(np.int64)
    alone = with_some[np.diff(rows.indptr)[with_some] == 1]
    staying = rows.indices[rows.indptr[alone]] == alone
    return DrawnCells(
        current=current,
        following=following,
        probability=rows.data[entries],
        number=number,
        notes=tuple(_notes(len(cells), len(with_some), int(staying.sum()) if among else 0)),
    )


def _notes(num_cells: int, num_with_some: int, num_staying: int) -> Iterator[str]:
    if num_with_some < num_cells:
        yield (
            f"{num_cells - num_with_some:,} of {num_cells:,} cells have no transition, and no next "
            "cell is drawn for them"
        )
    if num_staying:
        yield (
            f"{num_staying:,} of {num_cells:,} cells only go to themselves, as at the last time "
            "point: what is drawn for them is the same cell"
        )
