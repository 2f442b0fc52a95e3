"""The parts of a BERT layer, on packed tokens: embeddings, attention, feed-forward network.

A layer is one call for whoever passes through it: contexts, which attend to themselves, and scored
positions, which attend to what a context left in that layer (`Kept`). Between the two halves of a
layer runs the sum of what came in and what attention found, before its LayerNorm: from it the
second half can be computed again, so that the widest activations need not be kept for the backward
pass (`Recompute`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bionemo.geneformer_t.config import BioBertConfig, Recompute
from bionemo.geneformer_t.model.groups import Attention, Groups
from bionemo.geneformer_t.model.isolation import Segment


class Kept(NamedTuple):
    """What contexts offer to attend to in one layer."""

    keys: Float[Tensor, "context_token hidden"]
    values: Float[Tensor, "context_token hidden"]
    groups: Groups


class Embeddings(nn.Module):
    """Token, position and token-type embeddings, summed and normalised."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, ids: Int[Tensor, " token"], positions: Int[Tensor, " token"], segment: Segment
    ) -> Float[Tensor, "token hidden"]:
        """Embed tokens that all belong to one segment."""
        summed = (
            self.word_embeddings(ids)
            + self.position_embeddings(positions)
            + self.token_type_embeddings.weight[segment]
        )
        return self.dropout(self.LayerNorm(summed))


class SelfAttention(nn.Module):
    """The projections to queries, keys and values."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def split(self, projected: Float[Tensor, "token hidden"]) -> Float[Tensor, "token head dim"]:
        """The part of each head."""
        return projected.unflatten(-1, (self.num_heads, -1))


class ResidualOutput(nn.Module):
    """Dense, dropout, residual, LayerNorm: the end of both halves of a layer."""

    def __init__(self, config: BioBertConfig, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

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
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)

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
        self._call: Callable[..., Tensor] = _call

    def forward(
        self,
        hidden: Float[Tensor, "token hidden"],
        groups: Groups,
        attend: Attention,
        kept: Kept | None = None,
        *,
        update: bool = True,
    ) -> tuple[Float[Tensor, "token hidden"], Kept]:
        """Update tokens by what they find in their contexts.

        Args:
            hidden: Packed tokens.
            groups: Which of them belong together.
            attend: The attention backend.
            kept: What their contexts left in this layer; None when the tokens are contexts, which
                attend to themselves.
            update: False to leave the tokens as they are, for contexts in the last layer, of which
                only keys and values are wanted.

        Returns:
            The tokens, and what the contexts left.
        """
        if kept is None:
            kept = self._keep(hidden, groups)
        if update and self._recomputes("layers"):
            hidden = checkpoint(self._update, hidden, groups, attend, kept, use_reentrant=False)
        elif update:
            hidden = self._update(hidden, groups, attend, kept)
        return hidden, kept

    def compile_parts(self) -> None:
        """Compile what comes before and after attention, for any number of tokens.

        Attention is left as it is: its backends are one kernel each, and lengths of cells change
        with every batch.
        """
        self._call = torch.compiler.disable(_call)
        self.compile(dynamic=True)

    def _keep(self, context: Float[Tensor, "context_token hidden"], groups: Groups) -> Kept:
        project = self.attention.self
        return Kept(project.key(context), project.value(context), groups)

    def _update(
        self, hidden: Float[Tensor, "token hidden"], groups: Groups, attend: Attention, kept: Kept
    ) -> Float[Tensor, "token hidden"]:
        project = self.attention.self
        attended = self._call(
            attend,
            project.split(project.query(hidden)),
            project.split(kept.keys),
            project.split(kept.values),
            groups,
            kept.groups,
            self.attention_dropout if self.training else 0.0,
        )
        stream = self.attention.output.add(self.attention.output.dense(attended.flatten(1)), hidden)
        if self._recomputes("feed_forward"):
            found, hidden = checkpoint(self._feed_forward, stream, use_reentrant=False)
        else:
            found, hidden = self._feed_forward(stream)
        return self.output.LayerNorm(self.output.add(found, hidden))

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
