"""MaskedPairs: the pairs of a batch between the drawing of successors and the packing."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.batch import ScoredGenes, TemporalBatch, TemporalExample
from bionemo.geneformer_t.data.masking import ScoredCells
from bionemo.geneformer_t.ragged import Ragged


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

    def packed(self) -> TemporalBatch:
        """As the model takes them."""
        arrays = {
            "context_ids": self.contexts.values,
            "context_offsets": self.contexts.offsets,
            "scored_ids": self.scored.ids,
            "scored_ranks": self.scored.ranks,
            "scored_labels": self.scored.labels,
            "scored_offsets": self.scored.offsets,
            "next_cell_context": self.context_of,
            "cells": self.cells,
            "next_cells": self.next_cells,
        }
        return TemporalBatch(
            **{name: torch.from_numpy(array.astype(np.int64)) for name, array in arrays.items()}
        )

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


def frame_contexts(cells: list[ndarray], cls: int, sep: int) -> Ragged:
    """Current cells between `[CLS]` and `[SEP]`."""
    frames = Ragged.empty([len(cell) + 2 for cell in cells])
    for context, cell in zip(frames.rows(), cells, strict=True):
        context[0], context[1:-1], context[-1] = cls, cell, sep
    return frames
