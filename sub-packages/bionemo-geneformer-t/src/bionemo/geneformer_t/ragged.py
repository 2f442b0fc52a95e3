"""Ragged: many short arrays one behind the other, with the places where each begins."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int, Integer, Shaped
from numpy import ndarray


@dataclass(frozen=True, kw_only=True)
class Ragged:
    """Rows of different lengths: row i is `values[offsets[i]:offsets[i + 1]]`."""

    values: Integer[ndarray, " value"]
    offsets: Int[ndarray, " rows_plus_1"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int[ndarray, " row"]:
        """The length of each row."""
        return np.diff(self.offsets)

    def row(self, i: int) -> Integer[ndarray, " value"]:
        """One row."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def rows(self) -> list[Integer[ndarray, " value"]]:
        """All rows."""
        bounds = self.offsets.tolist()
        return [self.values[a:b] for a, b in pairwise(bounds)]

    @classmethod
    def of(cls, rows: list[Integer[ndarray, " _"]]) -> "Ragged":
        """Rows joined into one."""
        values = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        return cls(values=values, offsets=offsets_of([len(row) for row in rows]))

    @classmethod
    def empty(cls, lengths: list[int]) -> "Ragged":
        """Rows of these lengths, to be filled."""
        offsets = offsets_of(lengths)
        return cls(values=np.empty(offsets[-1], dtype=np.int64), offsets=offsets)


def offsets_of(lengths: Shaped[ndarray, " row"] | list[int]) -> Int[ndarray, " rows_plus_1"]:
    """Where rows of these lengths begin, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def places_within(lengths: Int[ndarray, " row"]) -> Int[ndarray, " value"]:
    """The place of each value in its row, from 0."""
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
