"""Which cells a model was trained on, as numbers that travel in its checkpoint.

A cell is known by its genes in rank order, whatever its name and file: a number of 64 bits over the
highest ones and the number of all of them. Beside these, where the training cells have time points,
are the column of `obs` that holds them and the last one, which no training cell follows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray

from bionemo.geneformer_t.ragged import Ragged, places_within
from bionemo.geneformer_t.splitmix import mix

if TYPE_CHECKING:
    import pandas as pd

HIGHEST = 128
"""Genes of a cell that its number is made of; two cells that share them, in the same order, and the
number of all their genes are copies of one."""


@dataclass(frozen=True, kw_only=True)
class LastTime:
    """The last time point of the training cells."""

    time_key: str
    """Column of obs."""
    labels: tuple[str, ...]
    """What that time is called there."""

    def of(self, obs: "pd.DataFrame") -> Bool[ndarray, " cell"] | None:
        """Which cells are of this time point; None where obs has no such column."""
        if self.time_key not in obs:
            return None
        column = obs[self.time_key]
        found = column.astype(str).str.strip().isin(self.labels).to_numpy(dtype=bool)
        numbers = _numbers(self.labels)
        if numbers and column.dtype.kind in "iuf":  # 11 and 11.0 are the same day
            found = found | np.isin(column.to_numpy(dtype=np.float64), numbers)
        return found


@dataclass(frozen=True, kw_only=True)
class TrainingCells:
    """The cells of the training split."""

    numbers: Int[ndarray, " training_cell"]
    """Of each cell that expresses a known gene; sorted, each once."""
    last_time: LastTime | None = None
    """None where they have no time points, as with a pseudotime."""

    def hold(self, cells: Ragged) -> Bool[ndarray, " cell"]:
        """Which of some cells are training cells, or copies of them; one without genes is not.

        Args:
            cells: All known genes of each, the highest rank value first.
        """
        return np.isin(cell_numbers(cells), self.numbers) & (cells.lengths > 0)

    def to_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for checkpoints."""
        last = self.last_time
        return {
            "numbers": torch.from_numpy(self.numbers),
            "time_key": None if last is None else last.time_key,
            "last_labels": [] if last is None else list(last.labels),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingCells":
        """The inverse of `to_dict`."""
        key = values["time_key"]
        last = None if key is None else LastTime(time_key=key, labels=tuple(values["last_labels"]))
        return cls(numbers=values["numbers"].cpu().numpy(), last_time=last)


def cell_numbers(cells: Ragged) -> Int[ndarray, " cell"]:
    """A number for each cell, the same for the same genes in the same order.

    SplitMix64 (Steele, Lea and Flood 2014) over its length and its highest genes, one after the
    other: among a million cells, two others share a number with a probability of 3e-8.
    """
    highest = cells.truncated(HIGHEST)
    width = int(highest.lengths.max(initial=0))
    words = np.zeros((len(cells), width + 1), dtype=np.uint64)
    words[:, 0] = cells.lengths
    rows = np.repeat(np.arange(len(cells)), highest.lengths)
    words[rows, 1 + places_within(highest.lengths)] = 1 + np.asarray(
        highest.values, dtype=np.uint64
    )
    found = np.zeros(len(cells), dtype=np.uint64)
    for column in words.T:
        found = np.where(column > 0, mix(found ^ column), found)
    return found.view(np.int64)


def _numbers(labels: Sequence[str]) -> list[float]:
    found = []
    for label in labels:
        try:
            found.append(float(label))
        except ValueError:  # a label such as E12.5
            continue
    return found
