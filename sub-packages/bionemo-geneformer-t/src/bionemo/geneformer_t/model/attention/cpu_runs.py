"""Runs of neighbouring cells of equal sizes, whose attention is one call on the CPU.

All queries of a cell, its own tokens and the scored positions that ask it, are one call too: few
queries make slim matrix products, which are slow.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bionemo.geneformer_t.model.attention.cell_offsets import Keys, Queries


class Run(NamedTuple):
    """Neighbouring cells with equal numbers of queries, by query segment, and of keys."""

    cells: int
    queries: tuple[slice, ...]
    """Packed queries of all its cells, by query segment."""
    keys: slice

    def joined(self, packed: Queries) -> Float[Tensor, "cell head q dim"]:
        """The queries of each cell, segment after segment."""
        parts = [self._by_cell(packed, queries) for queries in self.queries]
        return (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)).transpose(1, 2)

    def put_back(self, joined: Float[Tensor, "cell head q dim"], packed: Queries) -> None:
        """Write what belongs to the queries to their places, the way back from `joined`."""
        places = [self._by_cell(packed, queries) for queries in self.queries]
        parts = joined.transpose(1, 2).split([place.shape[1] for place in places], dim=1)
        for place, part in zip(places, parts, strict=True):
            place.copy_(part)

    def of_keys(self, packed: Keys) -> Float[Tensor, "cell head k dim"]:
        """A view of this run's keys."""
        return self._by_cell(packed, self.keys).transpose(1, 2)

    def _by_cell(self, packed: Tensor, where: slice) -> Tensor:
        return packed[where].unflatten(0, (self.cells, (where.stop - where.start) // self.cells))


def runs(num_queries: Sequence[Sequence[int]], num_keys: Sequence[int]) -> Iterator[Run]:
    """The runs of packed cells, left out those without a query.

    Args:
        num_queries: Queries of each cell, by query segment.
        num_keys: Keys of each cell.
    """
    starts, key_start = list(accumulate(map(sum, num_queries[:-1]), initial=0)), 0
    for (*queries, keys), members in groupby(zip(*num_queries, num_keys, strict=True)):
        cells = len(list(members))
        stops = [start + cells * number for start, number in zip(starts, queries, strict=True)]
        key_stop = key_start + cells * keys
        if any(queries):
            yield Run(cells, tuple(map(slice, starts, stops)), slice(key_start, key_stop))
        starts, key_start = stops, key_stop
