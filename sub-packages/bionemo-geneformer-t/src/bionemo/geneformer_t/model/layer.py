"""The parts of a BERT layer, on packed tokens: embeddings, attention, feed-forward network.

A layer is one call for all tokens: contexts, which attend to themselves, and scored positions,
which attend to their contexts. Only attention distinguishes them. Between the two halves
of a layer runs the sum of what came in and what attention found, before its LayerNorm: from it the
second half can be computed again, so that the widest activations need not be kept for the backward
pass (`Recompute`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bionemo.geneformer_t.config import BioBertConfig, Recompute
from bionemo.geneformer_t.model.attention.cell_offsets import Attention, CellOffsets
from bionemo.geneformer_t.model.attention.choose import OPERATORS
from bionemo.geneformer_t.model.dropout import Dropout
from bionemo.geneformer_t.model.precision import compute_dtype
from bionemo.geneformer_t.model.products import Linear


class Known(NamedTuple):
    """The keys and values of the contexts in one layer."""

    contexts: CellOffsets
    keys: Float[Tensor, "context_token head dim"]
    values: Float[Tensor, "context_token head dim"]


class Embeddings(nn.Module):
    """Token, position and token-type embeddings, summed and normalised."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        ids: Int[Tensor, " token"],
        positions: Int[Tensor, " token"],
        segments: Int[Tensor, " token"],
        of_last: Float[Tensor, "last_token hidden"] | None = None,
    ) -> Float[Tensor, "token hidden"]:
        """Embed packed tokens; a segment is its own token type (`Segment`).

        Args:
            ids: Tokens.
            positions: Their position ids.
            segments: Their segments.
            of_last: Further vectors, which are added to those of the last tokens.
        """
        summed = (
            self.word_embeddings(ids)
            + self.position_embeddings(positions)
            + self.token_type_embeddings(segments)
        )
        if of_last is not None:
            first = len(ids) - len(of_last)
            summed = torch.cat([summed[:first], summed[first:] + of_last])
        return self.dropout(self.LayerNorm(summed))


class SelfAttention(nn.Module):
    """The projections to queries, keys and values."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.query = Linear(config.hidden_size, config.hidden_size)
        self.key = Linear(config.hidden_size, config.hidden_size)
        self.value = Linear(config.hidden_size, config.hidden_size)

    def split(self, projected: Float[Tensor, "token hidden"]) -> Float[Tensor, "token head dim"]:
        """The part of each head."""
        return projected.unflatten(-1, (self.num_heads, -1))


class ResidualOutput(nn.Module):
    """Dense, dropout, residual, LayerNorm: the end of both halves of a layer."""

    def __init__(self, config: BioBertConfig, width: int) -> None:
        super().__init__()
        self.dense = Linear(width, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def add(
        self, found: Float[Tensor, "token hidden"], residual: Float[Tensor, "token hidden"]
    ) -> Float[Tensor, "token hidden"]:
        """Join what was found with what came in; LayerNorm comes next."""
        found = self.dropout(found)
        return found.add_(residual) if found.dtype == residual.dtype else found + residual


class AttentionBlock(nn.Module):
    """`self` and `output`, as Hugging Face names them."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = ResidualOutput(config, config.hidden_size)


class Intermediate(nn.Module):
    """The widening half of the feed-forward network."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.intermediate_size)

    def forward(self, hidden: Float[Tensor, "token hidden"]) -> Float[Tensor, "token inner"]:
        """Widen and rectify."""
        return F.relu(self.dense(hidden), inplace=True)


class Layer(nn.Module):
    """One transformer layer."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.attention = AttentionBlock(config)
        self.intermediate = Intermediate(config)
        self.output = ResidualOutput(config, config.intermediate_size)
        self.attention_dropout = config.attention_probs_dropout_prob
        self.recompute: Recompute = "nothing"
        self._call_uncompiled: Callable[..., Tensor] = _call

    def forward(
        self,
        hidden: Float[Tensor, "token hidden"],
        segments: Sequence[CellOffsets],
        attend: Attention,
        *,
        drop_contexts: bool = False,
    ) -> Float[Tensor, "token_left hidden"]:
        """Update tokens by attention to their contexts.

        Args:
            hidden: Packed tokens: those of the contexts, then those of the other query segments.
            segments: The bounds of cells in each query segment, the contexts first; cell i of each
                attends to context i.
            attend: The attention backend.
            drop_contexts: Leave the contexts out once their keys and values are known: in the last
                layer nothing else of them is wanted.
        """
        contexts = segments[0]
        rounded = hidden.to(compute_dtype(hidden))  # once, not in each product
        project = self.attention.self
        context = rounded[: contexts.num_tokens]
        known = Known(
            contexts,
            project.split(project.key(context)),
            project.split(project.value(context)),
        )
        if drop_contexts:
            hidden, rounded = hidden[contexts.num_tokens :], rounded[contexts.num_tokens :]
            segments = segments[1:]
        update = self._update
        if self._recomputes("layers"):
            update = partial(checkpoint, update, use_reentrant=False)
        return update(hidden, rounded, segments, known, attend)

    def compile_whole(self) -> None:
        """Compile the layer for any number of tokens.

        Attention takes part where its backend is one operator (`OPERATORS`). One that goes from
        cell to cell is left as it is, for the lengths of cells change with every batch.
        """
        self._call_uncompiled = torch.compiler.disable(_call)
        self.compile(dynamic=True)

    def _update(
        self,
        hidden: Float[Tensor, "token hidden"],
        rounded: Float[Tensor, "token hidden"],
        segments: Sequence[CellOffsets],
        known: Known,
        attend: Attention,
    ) -> Float[Tensor, "token hidden"]:
        attended = self._attended(rounded, segments, known, attend)
        stream = self.attention.output.add(self.attention.output.dense(attended), hidden)
        if self._recomputes("feed_forward"):
            found, hidden = checkpoint(self._feed_forward, stream, use_reentrant=False)
        else:
            found, hidden = self._feed_forward(stream)
        return self.output.LayerNorm(self.output.add(found, hidden))

    def _attended(
        self,
        rounded: Float[Tensor, "token hidden"],
        segments: Sequence[CellOffsets],
        known: Known,
        attend: Attention,
    ) -> Float[Tensor, "token hidden"]:
        query = self.attention.self.split(self.attention.self.query(rounded))
        dropout_prob = self.attention_dropout if self.training else 0.0
        call = _call if attend in OPERATORS else self._call_uncompiled
        attended = call(
            attend, query, known.keys, known.values, segments, known.contexts, dropout_prob
        )
        return attended.flatten(1)

    def _feed_forward(
        self, stream: Float[Tensor, "token hidden"]
    ) -> tuple[Float[Tensor, "token hidden"], Float[Tensor, "token hidden"]]:
        """What the feed-forward network finds, and what it was given."""
        hidden = self.attention.output.LayerNorm(stream)
        return self.output.dense(self.intermediate(hidden)), hidden

    def _recomputes(self, what: Recompute) -> bool:
        return self.recompute == what and torch.is_grad_enabled()


def _call(attend: Attention, *inputs: Any) -> Tensor:
    return attend(*inputs)
