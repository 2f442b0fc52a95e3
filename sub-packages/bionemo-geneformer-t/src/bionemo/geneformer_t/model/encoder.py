"""The isolated encoder: a BERT that computes only what the isolation rule lets matter.

Keys and values come from the context alone, so the work splits in two. `remember` runs the
contexts through the layers and keeps the keys and values of each; `recall` runs the scored
positions of any number of next cells against them. Everything works on packed tokens
`[token, hidden]`; attention alone knows where a cell begins. Parameters carry Hugging Face's names
(`BertForMaskedLM`), so that weights can be exchanged.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.model.attention import Attention, Groups
from bionemo.geneformer_t.model.cross_entropy import summed_cross_entropy
from bionemo.geneformer_t.model.isolation import Segment


class Memory(NamedTuple):
    """What the contexts offer to attend to: keys and values of every layer."""

    keys: list[Float[Tensor, "context_token head dim"]]
    values: list[Float[Tensor, "context_token head dim"]]
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
    """The projections to queries, keys and values, split into heads."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def heads(
        self, projection: nn.Module, hidden: Float[Tensor, "token hidden"]
    ) -> Float[Tensor, "token head dim"]:
        """Project and split into heads."""
        return projection(hidden).unflatten(-1, (self.num_heads, -1))


class ResidualOutput(nn.Module):
    """Dense, dropout, residual, LayerNorm: the end of both halves of a layer."""

    def __init__(self, config: BioBertConfig, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, inner: Float[Tensor, "token inner"], residual: Float[Tensor, "token hidden"]
    ) -> Float[Tensor, "token hidden"]:
        """Join the inner result with the residual stream."""
        return self.LayerNorm(self.dropout(self.dense(inner)) + residual)


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
        return F.relu(self.dense(hidden))


class Layer(nn.Module):
    """One transformer layer; queries may come from elsewhere than keys and values."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.attention = AttentionBlock(config)
        self.intermediate = Intermediate(config)
        self.output = ResidualOutput(config, config.intermediate_size)
        self.attention_dropout = config.attention_probs_dropout_prob

    def keys_and_values(
        self, context: Float[Tensor, "context_token hidden"]
    ) -> tuple[Float[Tensor, "context_token head dim"], Float[Tensor, "context_token head dim"]]:
        """What the contexts offer to attend to in this layer."""
        project = self.attention.self
        return project.heads(project.key, context), project.heads(project.value, context)

    def forward(
        self,
        hidden: Float[Tensor, "token hidden"],
        keys: Float[Tensor, "context_token head dim"],
        values: Float[Tensor, "context_token head dim"],
        groups: Groups,
        key_groups: Groups,
        attend: Attention,
    ) -> Float[Tensor, "token hidden"]:
        """Update tokens by what they find in the keys and values of their contexts."""
        project = self.attention.self
        queries = project.heads(project.query, hidden)
        dropout = self.attention_dropout if self.training else 0.0
        attended = attend(queries, keys, values, groups, key_groups, dropout).flatten(1)
        hidden = self.attention.output(attended, hidden)
        return self.output(self.intermediate(hidden), hidden)


class Encoder(nn.Module):
    """The stack of layers, under Hugging Face's name `layer`."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class IsolatedBert(nn.Module):
    """Embeddings and layers, run under the isolation rule."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)

    @property
    def layers(self) -> list[Layer]:
        """The layers from first to last."""
        return list(self.encoder.layer)  # type: ignore[arg-type] # a ModuleList has no item type

    def read(
        self,
        ids: Int[Tensor, " context_token"],
        groups: Groups,
        attend: Attention,
        num_layers: int | None = None,
    ) -> Float[Tensor, "context_token hidden"]:
        """Encode contexts as a plain, bidirectional BERT does: every token of a cell sees all.

        Args:
            ids: Packed tokens of all cells.
            groups: Where each cell begins and ends.
            attend: The attention backend.
            num_layers: How many layers to run: 0 for the embeddings alone, None for all.

        Raises:
            ValueError: The model has fewer layers.
        """
        depth = len(self.layers) if num_layers is None else num_layers
        if not 0 <= depth <= len(self.layers):
            raise ValueError(
                f"num_layers must lie between 0 and {len(self.layers)}, the layers of this model; "
                f"got {num_layers}"
            )
        hidden = self.embeddings(ids, positions_within(groups), Segment.CONTEXT)
        for layer in self.layers[:depth]:
            hidden = layer(hidden, *layer.keys_and_values(hidden), groups, groups, attend)
        return hidden

    def remember(
        self, ids: Int[Tensor, " context_token"], groups: Groups, attend: Attention
    ) -> Memory:
        """Encode contexts; the last layer only yields its keys and values."""
        hidden = self.embeddings(ids, positions_within(groups), Segment.CONTEXT)
        keys, values = [], []
        last = len(self.layers) - 1
        for depth, layer in enumerate(self.layers):
            key, value = layer.keys_and_values(hidden)
            keys.append(key)
            values.append(value)
            if depth < last:
                hidden = layer(hidden, key, value, groups, groups, attend)
        return Memory(keys, values, groups)

    def recall(
        self,
        ids: Int[Tensor, " scored"],
        positions: Int[Tensor, " scored"],
        groups: Groups,
        memory: Memory,
        attend: Attention,
    ) -> Float[Tensor, "scored hidden"]:
        """Encode scored positions; group i of them looks at context i of the memory."""
        hidden = self.embeddings(ids, positions, Segment.NEXT_CELL)
        for layer, key, value in zip(self.layers, memory.keys, memory.values, strict=True):
            hidden = layer(hidden, key, value, groups, memory.groups, attend)
        return hidden


class HeadTransform(nn.Module):
    """Dense, ReLU and LayerNorm before the vocabulary."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: Float[Tensor, "token hidden"]) -> Float[Tensor, "token hidden"]:
        """Prepare for the vocabulary."""
        return self.LayerNorm(F.relu(self.dense(hidden)))


class Predictions(nn.Module):
    """The vocabulary head; its weight is the token embedding."""

    def __init__(self, config: BioBertConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        self.transform = HeadTransform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.decoder.weight = embedding.weight

    def forward(self, hidden: Float[Tensor, "token hidden"]) -> Float[Tensor, "token vocab"]:
        """Logits over the vocabulary."""
        return self.decoder(self.transform(hidden))

    def summed_loss(
        self, hidden: Float[Tensor, "token hidden"], labels: Int[Tensor, " token"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy summed over tokens, without holding all their logits."""
        decoder = self.decoder
        return summed_cross_entropy(self.transform(hidden), decoder.weight, decoder.bias, labels)


class Head(nn.Module):
    """Hugging Face's `cls`."""

    def __init__(self, config: BioBertConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        self.predictions = Predictions(config, embedding)


class NextCellBert(nn.Module):
    """From a batch of contexts and scored positions to logits over the vocabulary."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = IsolatedBert(config)
        self.cls = Head(config, self.bert.embeddings.word_embeddings)
        self.apply(self._initialise)

    def forward(self, batch: TemporalBatch, attend: Attention) -> Float[Tensor, "scored vocab"]:
        """Logits at the scored positions, in the order of the batch."""
        return self.cls.predictions(self.scored_hidden(batch, attend))

    def summed_loss(self, batch: TemporalBatch, attend: Attention) -> Float[Tensor, ""]:
        """Cross-entropy in nats, summed over the scored positions."""
        hidden = self.scored_hidden(batch, attend)
        return self.cls.predictions.summed_loss(hidden, batch.scored_labels)

    def scored_hidden(
        self, batch: TemporalBatch, attend: Attention
    ) -> Float[Tensor, "scored hidden"]:
        """The last layer's output at the scored positions."""
        contexts = Groups.of(batch.context_offsets)
        memory = self.bert.remember(batch.context_ids, contexts, attend)
        return self.bert.recall(
            batch.scored_ids,
            scored_positions(batch, self.config),
            Groups.of(scored_offsets_per_context(batch)),
            memory,
            attend,
        )

    def plain_logits(
        self, ids: Int[Tensor, " context_token"], groups: Groups, attend: Attention
    ) -> Float[Tensor, "context_token vocab"]:
        """Logits at every token of packed cells, without next cells: Hugging Face's own numbers."""
        return self.cls.predictions(self.bert.read(ids, groups, attend))

    def masked_logits(
        self, batch: TemporalBatch, attend: Attention
    ) -> Float[Tensor, "scored vocab"]:
        """Logits at the scored genes of cells that are their own next cells: plain Geneformer."""
        return self.cls.predictions(self.masked_hidden(batch, attend))

    def masked_summed_loss(self, batch: TemporalBatch, attend: Attention) -> Float[Tensor, ""]:
        """Cross-entropy of `masked_logits` in nats, summed over the scored genes."""
        hidden = self.masked_hidden(batch, attend)
        return self.cls.predictions.summed_loss(hidden, batch.scored_labels)

    def masked_hidden(
        self, batch: TemporalBatch, attend: Attention
    ) -> Float[Tensor, "scored hidden"]:
        """The last layer's output at the scored genes of cells that are their own next cells.

        The shown tokens take the places of the scored genes in their cell, whose tokens all see
        each other. The last layer computes the scored places only, for nothing else is asked.
        """
        at = places_in_contexts(batch)
        shown = batch.context_ids.index_copy(0, at, batch.scored_ids)
        contexts = Groups.of(batch.context_offsets)
        last = self.bert.layers[-1]
        hidden = self.bert.read(shown, contexts, attend, len(self.bert.layers) - 1)
        scored = Groups.of(scored_offsets_per_context(batch))
        return last(hidden[at], *last.keys_and_values(hidden), scored, contexts, attend)

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def positions_within(groups: Groups) -> Int[Tensor, " token"]:
    """The index of each packed token within its group, from 0."""
    offsets = groups.offsets
    starts = offsets[:-1].repeat_interleave(offsets.diff())
    return torch.arange(len(starts), device=offsets.device) - starts


def scored_positions(batch: TemporalBatch, config: BioBertConfig) -> Int[Tensor, " scored"]:
    """The position id of each scored gene.

    `restarted`: rank r has the position of rank r of the current cell, which is r behind `[CLS]`.
    `continued`: the whole pair is counted through, so the context's length is added.
    """
    if config.position_scheme == "restarted":
        return batch.scored_ranks
    last_of_context = batch.context_offsets.diff()[batch.next_cell_context] - 1
    return batch.scored_ranks + last_of_context.repeat_interleave(batch.scored_offsets.diff())


def places_in_contexts(batch: TemporalBatch) -> Int[Tensor, " scored"]:
    """Where in the packed contexts the scored ranks stand, for cells that are their own next cells.

    Rank r stands r behind `[CLS]`.
    """
    starts = batch.context_offsets[:-1][batch.next_cell_context]
    return starts.repeat_interleave(batch.scored_offsets.diff()) + batch.scored_ranks


def scored_offsets_per_context(batch: TemporalBatch) -> Int[Tensor, " contexts_plus_1"]:
    """Offsets of the scored genes by context instead of by next cell."""
    contexts = torch.arange(batch.num_contexts + 1, device=batch.next_cell_context.device)
    first_next_cell = torch.searchsorted(batch.next_cell_context, contexts)
    return batch.scored_offsets[first_next_cell]
