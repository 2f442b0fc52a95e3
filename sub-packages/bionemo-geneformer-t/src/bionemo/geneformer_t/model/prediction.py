"""Ask a model for the next cell: every rank is a `[MASK]` that looks at the current cell."""

import logging
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bionemo.geneformer_t.batch import ScoredGenes, TemporalBatch, TemporalExample, pack
from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.model.decoding import NextCellPrediction, assign_genes
from bionemo.geneformer_t.vocab import CLS, MASK, SEP, GeneVocab

logger = logging.getLogger(__name__)

NO_LABEL = 0
"""Stands in the labels of positions that nobody scores."""


def predict_next_cell(
    log_probs_of: Callable[[TemporalBatch, int], Float[Tensor, "cell rank vocab"]],
    config: BioBertConfig,
    vocab: GeneVocab,
    cells: Int[Tensor, "cell token"],
    attention_mask: Int[Tensor, "cell slot"] | Bool[Tensor, "cell slot"] | None,
    num_predictions: int,
    *,
    return_distribution: bool,
) -> NextCellPrediction:
    """What `TemporalGeneformerModel.predict_next_cell` documents, as a function of its parts."""
    contexts = _contexts(cells, attention_mask, vocab)
    _check_ranks(num_predictions, max(map(len, contexts), default=0), config, vocab)
    batch = all_masked(contexts, num_predictions, vocab).to(cells.device)
    log_probs = log_probs_of(batch, num_predictions)
    of_genes = log_probs[..., torch.from_numpy(vocab.gene_ids)].cpu().numpy()
    chosen_ids = np.empty(of_genes.shape[:2], dtype=np.int64)  # of no cells too
    for row, cell in enumerate(of_genes):
        chosen_ids[row] = vocab.gene_ids[assign_genes(cell)]
    chosen = torch.from_numpy(chosen_ids).to(cells.device)
    return NextCellPrediction(
        token_ids=chosen,
        probabilities=log_probs.gather(-1, chosen[..., None])[..., 0].exp(),
        genes=[vocab.decode(cell) for cell in chosen.tolist()],
        distribution=log_probs.exp() if return_distribution else None,
    )


def all_masked(contexts: list[np.ndarray], num_ranks: int, vocab: GeneVocab) -> TemporalBatch:
    """A batch that asks for ranks 1 to `num_ranks` of the next cell of each context."""
    asked = ScoredGenes(
        ids=np.full(num_ranks, vocab.ids[MASK], dtype=np.int64),
        ranks=np.arange(1, num_ranks + 1, dtype=np.int64),
        labels=np.full(num_ranks, NO_LABEL, dtype=np.int64),
        num_genes=num_ranks,
        cell=-1,
    )
    return pack(
        [
            TemporalExample(context_ids=context, next_cells=(asked,), cell=row)
            for row, context in enumerate(contexts)
        ]
    )


def gene_log_probs(
    logits: Float[Tensor, "scored vocab"], vocab: GeneVocab
) -> Float[Tensor, "scored vocab"]:
    """Log-probabilities over genes alone: a next cell holds no special token and no unused id."""
    is_gene = torch.zeros(logits.shape[-1], dtype=torch.bool)
    is_gene[torch.from_numpy(vocab.gene_ids)] = True
    return logits.float().masked_fill(~is_gene.to(logits.device), -torch.inf).log_softmax(-1)


def _contexts(
    cells: Int[Tensor, "cell token"],
    attention_mask: Int[Tensor, "cell slot"] | Bool[Tensor, "cell slot"] | None,
    vocab: GeneVocab,
) -> list[np.ndarray]:
    """Each row without padding, between `[CLS]` and `[SEP]`."""
    present = torch.ones_like(cells) if attention_mask is None else attention_mask.long()
    if present.shape != cells.shape:
        raise ValueError(
            f"attention_mask must have the shape of current_cell_ids, {tuple(cells.shape)}; got "
            f"{tuple(present.shape)}"
        )
    if ((present != 0) & (present != 1)).any() or (present.diff(dim=1) > 0).any():
        raise ValueError("attention_mask must hold 1 for tokens, then 0 for padding on the right")
    rows, lengths = cells.cpu().numpy(), present.sum(1).tolist()
    contexts = [
        _framed(row[:length], number, vocab)
        for number, (row, length) in enumerate(zip(rows, lengths, strict=True))
    ]
    specials = sum(int(np.isin(c[1:-1], vocab.special_ids).sum()) for c in contexts)
    if specials:
        logger.warning(
            "%d special tokens stand among the genes of the current cells; they are passed to "
            "the model as they are. Did the ids come from another vocabulary?", specials,
        )  # fmt: skip
    return contexts


def _framed(ids: np.ndarray, number: int, vocab: GeneVocab) -> np.ndarray:
    cls, sep = vocab.ids[CLS], vocab.ids[SEP]
    ids = ids[1:] if len(ids) and ids[0] == cls else ids
    ids = ids[:-1] if len(ids) and ids[-1] == sep else ids
    if not len(ids):
        raise ValueError(f"current cell {number} holds no gene; leave empty cells out")
    if ids.min() < 0 or ids.max() >= len(vocab):
        raise ValueError(
            f"current cell {number} holds ids from {ids.min()} to {ids.max()}; this model's "
            f"vocabulary has ids 0 to {len(vocab) - 1}"
        )
    return np.concatenate([[cls], ids, [sep]]).astype(np.int64)


def _check_ranks(asked: int, longest: int, config: BioBertConfig, vocab: GeneVocab) -> None:
    used = longest if config.position_scheme == "continued" else 1
    room = min(config.max_position_embeddings - used, len(vocab.genes))
    if longest > config.max_position_embeddings:
        raise ValueError(
            f"a current cell has {longest} tokens with [CLS] and [SEP], the model "
            f"{config.max_position_embeddings} positions; keep its highest-ranked genes only"
        )
    if not 1 <= asked <= room:
        raise ValueError(
            f"num_predictions must be between 1 and {room} for a longest current cell of "
            f"{longest} tokens, {config.max_position_embeddings} positions and "
            f"{len(vocab.genes)} genes; got {asked}"
        )
