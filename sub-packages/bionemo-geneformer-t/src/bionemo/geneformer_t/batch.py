"""TemporalBatch: what the data hand to the model, packed, with nothing padded.

Only what influences the loss travels: the contexts and the scored positions of the next cells.
Next-cell positions that are not scored are keys to nobody and queries of no interest, so they are
left out here and never computed (DESIGN.md, section 2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.ragged import offsets_of

NO_GENE = -1
"""Fills `contrast_genes`."""


@dataclass(frozen=True, kw_only=True)
class ScoredGenes:
    """The scored positions of one next cell."""

    ids: Int[ndarray, " scored"]
    """Tokens shown to the model: [MASK], a random gene or the gene itself."""
    ranks: Int[ndarray, " scored"]
    """Their ranks in the next cell, from 1."""
    labels: Int[ndarray, " scored"]
    """The genes that are really there."""
    num_genes: int
    """Genes of the whole next cell, scored or not."""
    cell: int
    """Row of the next cell in its split."""
    time_gap: float = math.nan
    """Time from the current cell to this one; NaN where the model is not told."""


@dataclass(frozen=True, kw_only=True)
class TemporalExample:
    """One current cell and one or more of its successors."""

    context_ids: Int[ndarray, " context_token"]
    """`[CLS] c_1 ... c_n [SEP]`."""
    next_cells: tuple[ScoredGenes, ...]
    cell: int
    """Row of the current cell in its split."""


def _no_contrast() -> Int[Tensor, " 0"]:
    return torch.zeros(0, dtype=torch.int64)


def _no_gaps() -> Float[Tensor, " 0"]:
    return torch.zeros(0)


@dataclass(frozen=True, kw_only=True)
class TemporalBatch:
    """Packed contexts and the scored positions of their next cells.

    `*_offsets` delimit: item i owns `values[offsets[i]:offsets[i + 1]]`. Next cells stand in the
    order of their contexts. What the contrastive term compares is empty where there is no such
    term; see `data/contrast.py`.
    """

    context_ids: Int[Tensor, " context_token"]
    context_offsets: Int[Tensor, " contexts_plus_1"]
    scored_ids: Int[Tensor, " scored"]
    scored_ranks: Int[Tensor, " scored"]
    scored_labels: Int[Tensor, " scored"]
    scored_offsets: Int[Tensor, " next_cells_plus_1"]
    next_cell_context: Int[Tensor, " next_cell"]
    """Which context each next cell belongs to; never decreases."""
    cells: Int[Tensor, " context"]
    """Rows of the current cells in their split, to name them in messages."""
    next_cells: Int[Tensor, " next_cell"]
    """Rows of the next cells in their split."""
    contrast_ranks: Int[Tensor, " rank"] = field(default_factory=_no_contrast)
    """Ranks, from 1, at which every context is asked for the genes of every next cell."""
    contrast_genes: Int[Tensor, " next_cell_x_rank"] = field(default_factory=_no_contrast)
    """The genes of each next cell at these ranks; `NO_GENE` where it ends before."""
    contrast_left_out: Int[Tensor, " left_out"] = field(default_factory=_no_contrast)
    """Pairs that are not compared, as `context * next cells + next cell`: the next cell is a
    successor of this context too, but was drawn for another."""

    time_gaps: Float[Tensor, " told"] = field(default_factory=_no_gaps)
    """Time from each next cell's context to it, NaN where the model is not told; empty where no gap
    is told."""

    @property
    def num_contexts(self) -> int:
        """Current cells in the batch."""
        return len(self.cells)

    @property
    def num_scored(self) -> int:
        """Positions that the loss averages over."""
        return len(self.scored_labels)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "TemporalBatch":
        """The same batch on another device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "TemporalBatch":
        """The same batch in page-locked memory, for asynchronous copies to a GPU."""
        return self._map(torch.Tensor.pin_memory)

    def _map(self, function) -> "TemporalBatch":  # type: ignore[no-untyped-def]
        return type(self)(**{f.name: function(getattr(self, f.name)) for f in fields(self)})


def pack(examples: Sequence[TemporalExample]) -> TemporalBatch:
    """Concatenate examples into one batch; an empty sequence gives an empty batch."""
    next_cells = [scored for example in examples for scored in example.next_cells]
    context_of = [i for i, example in enumerate(examples) for _ in example.next_cells]
    return TemporalBatch(
        context_ids=_concatenate([example.context_ids for example in examples]),
        context_offsets=_offsets([example.context_ids for example in examples]),
        scored_ids=_concatenate([scored.ids for scored in next_cells]),
        scored_ranks=_concatenate([scored.ranks for scored in next_cells]),
        scored_labels=_concatenate([scored.labels for scored in next_cells]),
        scored_offsets=_offsets([scored.ids for scored in next_cells]),
        next_cell_context=torch.tensor(context_of, dtype=torch.int64),
        cells=torch.tensor([example.cell for example in examples], dtype=torch.int64),
        next_cells=torch.tensor([scored.cell for scored in next_cells], dtype=torch.int64),
        time_gaps=_gaps([scored.time_gap for scored in next_cells]),
    )


def _gaps(gaps: Sequence[float]) -> Float[Tensor, " told"]:
    """Nothing where no gap is told, which is faster."""
    if all(map(math.isnan, gaps)):
        return _no_gaps()
    return torch.tensor(gaps, dtype=torch.float32)


def _concatenate(arrays: Sequence[Int[ndarray, " _"]]) -> Int[Tensor, " total"]:
    if not arrays:
        return torch.zeros(0, dtype=torch.int64)
    return torch.from_numpy(np.concatenate(arrays).astype(np.int64, copy=False))


def _offsets(arrays: Sequence[Int[ndarray, " _"]]) -> Int[Tensor, " items_plus_1"]:
    return torch.from_numpy(offsets_of([len(array) for array in arrays]))
