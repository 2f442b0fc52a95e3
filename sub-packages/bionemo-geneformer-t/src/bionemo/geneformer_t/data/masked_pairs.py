"""MaskedPairs: the pairs of some batches once they are drawn and masked, and how they are packed.

Several batches cross the pipe of a worker process as one array (`PackedBatches`), and the training
process cuts it: a batch is twelve views. PyTorch would pass each tensor in a shared-memory file of
its own, which for so many small tensors costs more than making the batch.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int32, Integer
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.batch import ScoredGenes, TemporalBatch, TemporalExample, pack
from bionemo.geneformer_t.data.contrast import Contrast
from bionemo.geneformer_t.data.masking import ScoredCells
from bionemo.geneformer_t.ragged import Ragged, offsets_of

_GAPS = "time_gaps"
_NAMES = tuple(field.name for field in fields(TemporalBatch) if field.name != _GAPS)


@dataclass(frozen=True, kw_only=True)
class PackedBatches:
    """The tensors of some batches, concatenated."""

    values: Int[Tensor, " total"]
    lengths: tuple[int, ...]
    """Of each tensor, in the order of the fields of `TemporalBatch`, batch by batch."""
    gaps: tuple[Float[Tensor, " _"], ...] = ()
    """The time gaps of each batch; nothing where the model is told none."""

    @classmethod
    def of(
        cls,
        batches: Sequence[Mapping[str, Integer[ndarray, " _"]]],
        gaps: Sequence[Float[ndarray, " _"]] = (),
    ) -> "PackedBatches":
        """Join batches, each given as the arrays of its fields; those not given are empty."""
        nothing = np.zeros(0, dtype=np.int64)
        arrays = [batch.get(name, nothing) for batch in batches for name in _NAMES]
        values = np.concatenate(arrays, dtype=np.int64)
        return cls(
            values=torch.from_numpy(values),
            lengths=tuple(map(len, arrays)),
            gaps=tuple(torch.from_numpy(mine.astype(np.float32)) for mine in gaps),
        )

    @classmethod
    def empty(cls, number: int) -> "PackedBatches":
        """So many batches without a pair."""
        nothing = pack([])
        return cls.of([{name: getattr(nothing, name).numpy() for name in _NAMES}] * number)

    def batches(self) -> Iterator[TemporalBatch]:
        """Each batch, in the memory of all of them."""
        tensors = self.values.split(self.lengths)
        for number, first in enumerate(range(0, len(tensors), len(_NAMES))):
            mine = tensors[first : first + len(_NAMES)]
            gaps = {_GAPS: self.gaps[number]} if self.gaps else {}
            yield TemporalBatch(**dict(zip(_NAMES, mine, strict=True)), **gaps)

    def pin_memory(self) -> "PackedBatches":
        """The same batches in page-locked memory, for asynchronous copies to a GPU."""
        return PackedBatches(
            values=self.values.pin_memory(),
            lengths=self.lengths,
            gaps=tuple(mine.pin_memory() for mine in self.gaps),
        )

    def __reduce__(self) -> tuple[Callable[..., "PackedBatches"], tuple[Any, ...]]:
        # Half the bytes: tokens, ranks, offsets and rows of cells are all below 2^31.
        gaps = tuple(mine.numpy() for mine in self.gaps)
        return _from_array, (self.values.numpy().astype(np.int32), self.lengths, gaps)


def _from_array(
    values: Int32[ndarray, " total"], lengths: tuple[int, ...], gaps: tuple[ndarray, ...]
) -> PackedBatches:
    return PackedBatches(
        values=torch.from_numpy(values.astype(np.int64)),
        lengths=lengths,
        gaps=tuple(map(torch.from_numpy, gaps)),
    )


@dataclass(frozen=True, kw_only=True)
class MaskedPairs:
    """Current cells, each with one or more masked successors."""

    cells: Int[ndarray, " context"]
    """Rows of the current cells in their split."""
    contexts: Ragged
    """`[CLS] c_1 ... c_n [SEP]` of each."""
    context_of: Int[ndarray, " next_cell"]
    """Which context each next cell belongs to; never decreases."""
    next_cells: Int[ndarray, " next_cell"]
    """Rows of the next cells."""
    num_genes: Int[ndarray, " next_cell"]
    """Genes of each whole next cell, scored or not."""
    scored: ScoredCells
    """The scored genes of the next cells."""
    contrast: Contrast | None = None
    """For the contrastive term, where there is one."""
    time_gaps: Float[ndarray, " next_cell"] | None = None
    """Of each pair, NaN where it is hidden; None where the model is told none."""

    def packed(self, sizes: Sequence[int]) -> PackedBatches:
        """As the model takes them: in batches of so many current cells each."""
        first = offsets_of(list(sizes))
        first_next = np.searchsorted(self.context_of, first)
        following = [slice(*bounds) for bounds in pairwise(first_next.tolist())]
        bounds = zip(pairwise(first.tolist()), following, strict=True)
        gaps = () if self.time_gaps is None else [self.time_gaps[n] for n in following]
        return PackedBatches.of([self._part(slice(*c), n) for c, n in bounds], gaps)

    def _part(self, contexts: slice, next_cells: slice) -> dict[str, Integer[ndarray, " _"]]:
        """The arrays of a batch of these contexts, whose next cells are these."""
        tokens, context_offsets = _cut(self.contexts.offsets, contexts)
        genes, scored_offsets = _cut(self.scored.offsets, next_cells)
        return {
            "context_ids": self.contexts.values[tokens],
            "context_offsets": context_offsets,
            "scored_ids": self.scored.ids[genes],
            "scored_ranks": self.scored.ranks[genes],
            "scored_labels": self.scored.labels[genes],
            "scored_offsets": scored_offsets,
            "next_cell_context": self.context_of[next_cells] - contexts.start,
            "cells": self.cells[contexts],
            "next_cells": self.next_cells[next_cells],
            **(self.contrast.of_batch(contexts, next_cells) if self.contrast else {}),
        }

    def examples(self) -> list[TemporalExample]:
        """One by one, to look at."""
        found: list[list[ScoredGenes]] = [[] for _ in self.cells]
        for j, context in enumerate(self.context_of.tolist()):
            here = slice(self.scored.offsets[j], self.scored.offsets[j + 1])
            found[context].append(
                ScoredGenes(
                    ids=self.scored.ids[here],
                    ranks=self.scored.ranks[here],
                    labels=self.scored.labels[here],
                    num_genes=int(self.num_genes[j]),
                    cell=int(self.next_cells[j]),
                    time_gap=math.nan if self.time_gaps is None else float(self.time_gaps[j]),
                )
            )
        return [
            TemporalExample(context_ids=context, next_cells=tuple(mine), cell=int(cell))
            for context, mine, cell in zip(self.contexts.rows(), found, self.cells, strict=True)
        ]


def _cut(
    offsets: Int[ndarray, " rows_plus_1"], rows: slice
) -> tuple[slice, Int[ndarray, " some_rows_plus_1"]]:
    """Where the values of some rows are, and the offsets of these rows alone."""
    mine = offsets[rows.start : rows.stop + 1]
    return slice(mine[0], mine[-1]), mine - mine[0]
