"""The textbook form of the temporal model: the oracle that the package is tested and timed against.

Hugging Face's `BertForMaskedLM` reads the whole pair, padded, with a dense 4-D mask, and computes
every position; nothing is skipped. Tests and benchmarks import it; the package does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM

from bionemo.geneformer_t.batch import ScoredGenes, TemporalBatch, TemporalExample, pack
from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.model.isolation import Segment, attends
from bionemo.geneformer_t.model.network import NextCellBert

CLS, SEP, FIRST_GENE = 0, 3, 5
NOT_SCORED = -100
NOBODY = 2  # the segment of padding: a key to no query


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A current cell and its whole next cell, as the textbook model reads them."""

    context: np.ndarray  # [CLS] c_1 ... c_n [SEP]
    shown: np.ndarray  # x_1 ... x_m after masking
    ranks: np.ndarray  # the scored ranks, from 1
    labels: np.ndarray  # the genes at those ranks


def random_pair(
    generator: np.random.Generator, genes: int, next_genes: int, scored: int, vocab_size: int
) -> Pair:
    """A pair of random cells of the given sizes."""
    shown = generator.choice(np.arange(FIRST_GENE, vocab_size), next_genes, replace=False)
    ranks = np.sort(generator.choice(np.arange(1, next_genes + 1), scored, replace=False))
    context = generator.choice(np.arange(FIRST_GENE, vocab_size), genes, replace=False)
    return Pair(
        context=np.concatenate([[CLS], context, [SEP]]),
        shown=shown,
        ranks=ranks,
        labels=generator.integers(FIRST_GENE, vocab_size, scored),
    )


def packed(pairs: Sequence[Pair], context_of: Sequence[int] | None = None) -> TemporalBatch:
    """The same pairs as the package reads them; `context_of` lets neighbours share a context."""
    context_of = range(len(pairs)) if context_of is None else context_of
    examples = []
    for context in dict.fromkeys(context_of):
        mine = [pair for pair, owner in zip(pairs, context_of, strict=True) if owner == context]
        next_cells = tuple(
            ScoredGenes(
                ids=pair.shown[pair.ranks - 1],
                ranks=pair.ranks,
                labels=pair.labels,
                num_genes=len(pair.shown),
                cell=0,
            )
            for pair in mine
        )
        examples.append(TemporalExample(context_ids=mine[0].context, next_cells=next_cells, cell=0))
    return pack(examples)


def textbook_model(net: NextCellBert, attention: str = "sdpa") -> BertForMaskedLM:
    """Hugging Face's model with the weights of ours."""
    config = net.config
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            intermediate_size=config.intermediate_size,
            max_position_embeddings=config.max_position_embeddings,
            hidden_dropout_prob=config.hidden_dropout_prob,
            attention_probs_dropout_prob=config.attention_probs_dropout_prob,
            type_vocab_size=config.type_vocab_size,
            layer_norm_eps=config.layer_norm_eps,
            hidden_act="relu",
            pad_token_id=None,
            attn_implementation=attention,
        )
    )
    missing, unexpected = model.load_state_dict(net.state_dict(), strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {"cls.predictions.bias", "bert.embeddings.position_ids"}, missing
    model.cls.predictions.bias = model.cls.predictions.decoder.bias
    return model.train(net.training)


def textbook_inputs(
    pairs: Sequence[Pair], config: BioBertConfig, length: int | None = None
) -> dict[str, Tensor]:
    """Padded ids, positions, token types, the dense mask and labels.

    Args:
        pairs: The pairs of the batch.
        config: For the position scheme.
        length: Pad to this length; None for the longest of the batch.
    """
    totals = [len(pair.context) + len(pair.shown) + 1 for pair in pairs]
    shape = (len(pairs), length or max(totals))
    ids = torch.zeros(shape, dtype=torch.int64)
    positions, segments = torch.zeros_like(ids), torch.full_like(ids, NOBODY)
    labels = torch.full_like(ids, NOT_SCORED)
    for row, (pair, total) in enumerate(zip(pairs, totals, strict=True)):
        n = len(pair.context)
        ids[row, :total] = torch.from_numpy(np.concatenate([pair.context, pair.shown, [SEP]]))
        positions[row, :total] = torch.arange(total)
        if config.position_scheme == "restarted":
            positions[row, n:total] = torch.arange(1, total - n + 1)
        segments[row, :n], segments[row, n:total] = Segment.CONTEXT, Segment.NEXT_CELL
        labels[row, n - 1 + torch.from_numpy(pair.ranks)] = torch.from_numpy(pair.labels)
    return {
        "input_ids": ids,
        "position_ids": positions,
        "token_type_ids": (segments == Segment.NEXT_CELL).long(),
        "attention_mask": attends(segments[:, None, :, None], segments[:, None, None, :]).expand(
            -1, 1, shape[1], -1
        ),
        "labels": labels,
    }


def block_masked(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same inputs with the mask as FlexAttention takes it, blocks of nothing left out."""
    from torch.nn.attention.flex_attention import create_block_mask

    mask = inputs["attention_mask"][:, 0]

    def is_seen(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return mask[batch, query, key]

    cells, length = inputs["input_ids"].shape
    blocks = create_block_mask(is_seen, cells, None, length, length, device=mask.device)
    return {**inputs, "attention_mask": blocks}


def textbook_loss(model: BertForMaskedLM, inputs: dict[str, Tensor]) -> Tensor:
    """Mean cross-entropy over scored positions, from logits computed everywhere."""
    labels = inputs["labels"]
    logits = model(**{name: value for name, value in inputs.items() if name != "labels"}).logits
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=NOT_SCORED)


def improved_loss(model: BertForMaskedLM, inputs: dict[str, Tensor]) -> Tensor:
    """The same, with the vocabulary head on scored positions only."""
    labels = inputs["labels"]
    hidden = model.bert(
        **{name: value for name, value in inputs.items() if name != "labels"}
    ).last_hidden_state
    scored = labels != NOT_SCORED
    return F.cross_entropy(model.cls(hidden[scored]), labels[scored])
