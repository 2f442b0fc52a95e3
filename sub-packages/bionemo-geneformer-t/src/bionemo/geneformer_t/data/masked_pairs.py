"""MaskedPairs: the pairs of some batches between the drawing of successors and the packing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int, Integer
from numpy import ndarray

from bionemo.geneformer_t.batch import ScoredGenes, TemporalExample
from bionemo.geneformer_t.data.masking import ScoredCells
from bionemo.geneformer_t.data.packed_batches import PackedBatches
from bionemo.geneformer_t.ragged import Ragged, offsets_of


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

    def packed(self, sizes: Sequence[int]) -> PackedBatches:
        """As the model takes them: in batches of so many current cells each."""
        first = offsets_of(list(sizes))
        first_next = np.searchsorted(self.context_of, first)
        bounds = zip(pairwise(first.tolist()), pairwise(first_next.tolist()), strict=True)
        return PackedBatches.of([self._part(slice(*c), slice(*n)) for c, n in bounds])

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


def frame_contexts(cells: list[ndarray], cls: int, sep: int) -> Ragged:
    """Current cells between `[CLS]` and `[SEP]`."""
    frames = Ragged.empty([len(cell) + 2 for cell in cells])
    for context, cell in zip(frames.rows(), cells, strict=True):
        context[0], context[1:-1], context[-1] = cls, cell, sep
    return frames
