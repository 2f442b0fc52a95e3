"""Current cells as a batch that asks for every rank of the next cell, and logits as an answer."""

import logging

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import SPECIALS_PER_CONTEXT, BioBertConfig
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import CLS, MASK, SEP, GeneVocab

logger = logging.getLogger(__name__)

NO_LABEL = 0
"""Fills the labels of positions that are not scored."""


def genes_of_rows(
    cells: Int[Tensor, "cell token"],
    attention_mask: Int[Tensor, "cell slot"] | Bool[Tensor, "cell slot"] | None,
    vocab: GeneVocab,
) -> Ragged:
    """Each row without padding, `[CLS]` and `[SEP]`.

    Raises:
        ValueError: The mask is none of these rows, padding is not on the right, a cell is empty, or
            an id is not in the vocabulary.
    """
    present = torch.ones_like(cells) if attention_mask is None else attention_mask.long()
    if present.shape != cells.shape:
        raise ValueError(
            f"attention_mask must have the shape of current_cell_ids, {tuple(cells.shape)}; got "
            f"{tuple(present.shape)}"
        )
    if ((present != 0) & (present != 1)).any() or (present.diff(dim=1) > 0).any():
        raise ValueError("attention_mask must hold 1 for tokens, then 0 for padding on the right")
    rows, lengths = cells.cpu().numpy(), present.sum(1).tolist()
    contexts = Ragged.of(
        [
            _genes(row[:length], number, vocab)
            for number, (row, length) in enumerate(zip(rows, lengths, strict=True))
        ]
    )
    specials = int(np.isin(contexts.values, vocab.special_ids).sum())
    if specials:
        logger.warning(
            "%d special tokens are among the genes of the current cells; they are passed to "
            "the model as they are. Did the ids come from another vocabulary?", specials,
        )  # fmt: skip
    return contexts


def _genes(ids: np.ndarray, number: int, vocab: GeneVocab) -> np.ndarray:
    ids = ids[1:] if len(ids) and ids[0] == vocab.ids[CLS] else ids
    ids = ids[:-1] if len(ids) and ids[-1] == vocab.ids[SEP] else ids
    if not len(ids):
        raise ValueError(f"current cell {number} holds no gene; leave empty cells out")
    if ids.min() < 0 or ids.max() >= len(vocab):
        raise ValueError(
            f"current cell {number} holds ids from {ids.min()} to {ids.max()}; this model's "
            f"vocabulary has ids 0 to {len(vocab) - 1}"
        )
    return ids


def check_lengths(num_ranks: int, num_genes: int, config: BioBertConfig, vocab: GeneVocab) -> None:
    """Refuse cells and numbers of ranks that a model has no positions for.

    Args:
        num_ranks: Ranks that are asked for.
        num_genes: Of the longest current cell.
        config: The model's.
        vocab: The model's.

    Raises:
        ValueError: Names both numbers.
    """
    longest = num_genes + SPECIALS_PER_CONTEXT
    used = longest if config.position_scheme == "continued" else 1
    room = min(config.max_position_embeddings - used, len(vocab.genes))
    if longest > config.max_position_embeddings:
        raise ValueError(
            f"a current cell has {longest} tokens with [CLS] and [SEP], the model "
            f"{config.max_position_embeddings} positions; keep its highest-ranked genes only"
        )
    if not 1 <= num_ranks <= room:
        raise ValueError(
            f"num_predictions must be between 1 and {room} for a longest current cell of "
            f"{longest} tokens, {config.max_position_embeddings} positions and "
            f"{len(vocab.genes)} genes; got {num_ranks}"
        )


def framed_cells(contexts: Ragged, vocab: GeneVocab) -> Ragged:
    """Current cells as a trained model reads them: `[CLS] genes [SEP]`."""
    return contexts.framed([vocab.ids[CLS]], [vocab.ids[SEP]])


def all_masked(
    contexts: Ragged,
    num_ranks: int,
    vocab: GeneVocab,
    time_gaps: Float[ndarray, " gap"] | None = None,
) -> TemporalBatch:
    """A batch that asks for ranks 1 to `num_ranks` of the next cell of each context.

    Args:
        contexts: Genes of each current cell in rank order, without special tokens.
        num_ranks: Ranks of the next cell.
        vocab: The model's.
        time_gaps: Ask for a next cell at each of these gaps instead of one without.
    """
    framed = framed_cells(contexts, vocab)
    cells = torch.arange(len(contexts))
    num_gaps = 1 if time_gaps is None else len(time_gaps)
    context_of = cells.repeat_interleave(num_gaps)
    ranks = torch.arange(1, num_ranks + 1).repeat(len(context_of))
    gaps = {}
    if time_gaps is not None:
        told = torch.from_numpy(time_gaps.astype(np.float32))
        gaps = {"time_gaps": told.repeat(len(contexts))}
    return TemporalBatch(
        context_ids=torch.from_numpy(framed.values),
        context_offsets=torch.from_numpy(framed.offsets),
        scored_ids=torch.full_like(ranks, vocab.ids[MASK]),
        scored_ranks=ranks,
        scored_labels=torch.full_like(ranks, NO_LABEL),
        scored_offsets=torch.arange(len(context_of) + 1) * num_ranks,
        next_cell_context=context_of,
        cells=cells,
        next_cells=torch.full_like(context_of, -1),
        **gaps,
    )


def gene_log_probs(
    logits: Float[Tensor, "scored vocab"], vocab: GeneVocab
) -> Float[Tensor, "scored vocab"]:
    """Log-probabilities over genes alone: a next cell holds no special token and no unused id."""
    no_genes = [*vocab.special_ids, *range(len(vocab), logits.shape[-1])]
    excluded = torch.tensor(no_genes, device=logits.device)
    return logits.float().index_fill(-1, excluded, -torch.inf).log_softmax(-1)
