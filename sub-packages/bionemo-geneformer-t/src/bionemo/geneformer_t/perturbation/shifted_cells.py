"""Cells in which every token has two forms: as it is, and as it is behind a deleted gene.

Behind a deleted gene all tokens move up by one position. If the cell has more genes than the model
reads, the first one beyond moves in at the end and `[SEP]` keeps its position; otherwise `[SEP]`
moves up too, and, if the positions of the next cell continue those of the current one, so do the
ranks that are asked for.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.config import SPECIALS_PER_CONTEXT
from bionemo.geneformer_t.model.attention.cell_offsets import CellOffsets
from bionemo.geneformer_t.model.isolation import Segment
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.prediction import framed_cells
from bionemo.geneformer_t.ragged import Ragged, places_within
from bionemo.geneformer_t.vocab import MASK


@dataclass(frozen=True, kw_only=True)
class ShiftedCells:
    """Embedded tokens of some cells, `[CLS]`, genes, `[SEP]`, and of the ranks asked of each."""

    contexts: CellOffsets
    """Bounds of the cells, with the gene that moves in."""
    scored: CellOffsets
    """Bounds of the ranks that are asked for."""
    ranks: Int[Tensor, " scored"]
    num_genes: Int[ndarray, " cell"]
    """Genes that the model reads of each cell as it is: those that can be deleted."""
    is_new: Bool[Tensor, " context_token"]
    """The genes that move in: the last one of a cell, if it has one more than are read."""
    before: Float[Tensor, "context_token hidden"]
    after: Float[Tensor, "context_token hidden"]
    """Behind a deleted gene."""
    scored_before: Float[Tensor, "scored hidden"]
    scored_after: Float[Tensor, "scored hidden"]


def shifted_cells(
    model: NextCellModel, cells: Ragged, genes_read: int, num_ranks: int
) -> ShiftedCells:
    """Embed cells in both forms.

    Args:
        model: Its embeddings are used.
        cells: Genes of each in rank order, at most one more than are read.
        genes_read: Genes that the model reads of a cell.
        num_ranks: Ranks of the next cell that are asked for.
    """
    vocab, device = model.required_vocab(), model.device
    framed = framed_cells(cells, vocab)
    num_genes = np.minimum(cells.lengths, genes_read)
    place = places_within(framed.lengths)
    last = np.repeat(framed.lengths - 1, framed.lengths)
    has_more = np.repeat(cells.lengths > genes_read, framed.lengths)
    before = place - (has_more & (place == last))
    after = np.where(place > 1, place - 1, place)  # [CLS] and the first gene are behind no gene
    ranks = torch.arange(1, num_ranks + 1, device=device).repeat(len(cells))
    scored_before = scored_after = ranks
    if model.config.position_scheme == "continued":
        of_sep = torch.from_numpy(num_genes + SPECIALS_PER_CONTEXT - 1).to(device)
        moves = torch.from_numpy(cells.lengths <= genes_read).to(device).long()
        scored_before = ranks + of_sep.repeat_interleave(num_ranks)
        scored_after = scored_before - moves.repeat_interleave(num_ranks)
    asked = torch.arange(len(cells) + 1, device=device) * num_ranks
    embed = model.net.bert.embeddings
    ids = torch.from_numpy(framed.values).to(device)
    masks = torch.full_like(ranks, vocab.ids[MASK])
    context = torch.full_like(ids, Segment.CONTEXT)
    following = torch.full_like(masks, Segment.NEXT_CELL)
    return ShiftedCells(
        contexts=CellOffsets.of(torch.from_numpy(framed.offsets).to(device)),
        scored=CellOffsets.of(asked),
        ranks=ranks,
        num_genes=num_genes,
        is_new=torch.from_numpy(has_more & (place == last - 1)).to(device),
        before=embed(ids, torch.from_numpy(before).to(device), context),
        after=embed(ids, torch.from_numpy(after).to(device), context),
        scored_before=embed(masks, scored_before, following),
        scored_after=embed(masks, scored_after, following),
    )
