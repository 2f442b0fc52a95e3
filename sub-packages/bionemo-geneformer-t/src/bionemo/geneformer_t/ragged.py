"""Ragged: many short arrays one behind the other, with the places where each begins."""

from collections.abc import Sequence
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

    def take(self, rows: Int[ndarray, " taken"]) -> "Ragged":
        """Some of the rows, in the order given."""
        return self._gathered(self.offsets[:-1][rows], self.lengths[rows])

    def truncated(self, most: int) -> "Ragged":
        """The first values of each row, up to so many."""
        return self._gathered(self.offsets[:-1], np.minimum(self.lengths, most))

    def framed(self, before: Sequence[int], after: Sequence[int]) -> "Ragged":
        """Each row between the same values."""
        framed = Ragged.empty(self.lengths + len(before) + len(after))
        starts, stops = framed.offsets[:-1] + len(before), framed.offsets[1:] - len(after)
        framed.values[np.repeat(starts, self.lengths) + places_within(self.lengths)] = self.values
        for place, value in enumerate(before):
            framed.values[framed.offsets[:-1] + place] = value
        for place, value in enumerate(after):
            framed.values[stops + place] = value
        return framed

    def _gathered(self, starts: Int[ndarray, " _"], lengths: Int[ndarray, " _"]) -> "Ragged":
        values = self.values[np.repeat(starts, lengths) + places_within(lengths)]
        return Ragged(values=values, offsets=offsets_of(lengths))

    @classmethod
    def of(cls, rows: list[Integer[ndarray, " _"]]) -> "Ragged":
        """Rows joined into one."""
        values = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        return cls(values=values, offsets=offsets_of([len(row) for row in rows]))

    @classmethod
    def empty(cls, lengths: Shaped[ndarray, " row"] | list[int]) -> "Ragged":
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
