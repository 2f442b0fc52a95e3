"""The isolated encoder: a BERT that computes only what the isolation rule lets matter.

Keys and values come from the context alone: contexts attend to themselves, and the scored positions
of any number of next cells to their context. Everything works on packed tokens
`[token, hidden]`; attention alone knows where a cell begins. Parameters have Hugging Face's names
(`BertForMaskedLM`), so that weights can be exchanged.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.config import BioBertConfig, MatmulBackend, Objective, Recompute
from bionemo.geneformer_t.model.attention.cell_offsets import Attention, CellOffsets
from bionemo.geneformer_t.model.contrastive_loss import contrastive_loss, origin_scores
from bionemo.geneformer_t.model.isolation import Segment
from bionemo.geneformer_t.model.layer import Embeddings, Layer
from bionemo.geneformer_t.model.products import Linear
from bionemo.geneformer_t.model.rank_bias import RankBias
from bionemo.geneformer_t.model.time_gap import TimeGapEmbedding
from bionemo.geneformer_t.model.vocabulary_loss import summed_cross_entropy


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
        cells: CellOffsets,
        attend: Attention,
        num_layers: int | None = None,
    ) -> Float[Tensor, "context_token hidden"]:
        """Encode contexts as a plain, bidirectional BERT does: every token of a cell sees all.

        Args:
            ids: Packed tokens of all cells.
            cells: Their bounds.
            attend: The attention backend.
            num_layers: How many layers to run: 0 for the embeddings alone, None for all.

        Raises:
            ValueError: The model has fewer layers.
        """
        depth = len(self.layers) if num_layers is None else num_layers
        if not 0 <= depth <= len(self.layers):
            raise ValueError(
                f"num_layers must be between 0 and {len(self.layers)}, the layers of this model; "
                f"got {num_layers}"
            )
        segments = torch.full_like(ids, Segment.CONTEXT)
        hidden = self.embeddings(ids, positions_within(cells), segments)
        for layer in self.layers[:depth]:
            hidden = layer(hidden, (cells,), attend)
        return hidden

    def forward(
        self,
        context_ids: Int[Tensor, " context_token"],
        contexts: CellOffsets,
        scored_ids: Int[Tensor, " scored"],
        positions: Int[Tensor, " scored"],
        scored: Sequence[CellOffsets],
        attend: Attention,
        *,
        gap_vectors: Float[Tensor, "scored hidden"] | None = None,
        keep_contexts: bool = False,
    ) -> Float[Tensor, "token hidden"]:
        """Encode scored positions; those of next cells of context i attend to context i.

        Args:
            context_ids: Packed tokens of all contexts.
            contexts: Where each of them begins and ends.
            scored_ids: The tokens shown at the scored positions.
            positions: Their position ids.
            scored: Where the positions of each context begin and end, in one or several segments of
                queries.
            attend: The attention backend.
            gap_vectors: What the time gap adds at each scored position.
            keep_contexts: Encode the contexts to the end too; they come first in the result. Else
                the last layer computes no more of them than their keys and values.
        """
        segments = [
            torch.full_like(context_ids, Segment.CONTEXT),
            torch.full_like(scored_ids, Segment.NEXT_CELL),
        ]
        hidden = self.embeddings(
            torch.cat([context_ids, scored_ids]),
            torch.cat([positions_within(contexts), positions]),
            torch.cat(segments),
            gap_vectors,
        )
        last = self.layers[-1]
        for layer in self.layers:
            drop = layer is last and not keep_contexts
            hidden = layer(hidden, (contexts, *scored), attend, drop_contexts=drop)
        return hidden


class HeadTransform(nn.Module):
    """Dense, ReLU and LayerNorm before the vocabulary."""

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: Float[Tensor, "token hidden"]) -> Float[Tensor, "token hidden"]:
        """Prepare for the vocabulary."""
        return self.LayerNorm(F.relu(self.dense(hidden)))


class Predictions(nn.Module):
    """The vocabulary head; its weight is the token embedding."""

    def __init__(self, config: BioBertConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        self.transform = HeadTransform(config)
        self.decoder = Linear(config.hidden_size, config.vocab_size)
        self.decoder.weight = embedding.weight
        self.rank_bias = (
            RankBias(config.vocab_size, config.rank_knots) if config.rank_knots else None
        )

    def forward(
        self,
        hidden: Float[Tensor, "token hidden"],
        ranks: Int[Tensor, " token"] | None = None,
    ) -> Float[Tensor, "token vocab"]:
        """Logits over the vocabulary; without ranks, those that no rank changes."""
        logits: Tensor = self.decoder(self.transform(hidden))
        return logits if self.rank_bias is None or ranks is None else logits + self.rank_bias(ranks)

    def summed_loss(
        self,
        hidden: Float[Tensor, "token hidden"],
        labels: Int[Tensor, " token"],
        ranks: Int[Tensor, " token"],
    ) -> Float[Tensor, ""]:
        """Cross-entropy summed over tokens, without holding all their logits."""
        features, weight = self.features(hidden, ranks), self.joint_weight()
        return summed_cross_entropy(
            features, weight, self.decoder.bias, labels, backend=self.decoder.matmul_backend
        )

    def origin_scores(
        self,
        hidden: Float[Tensor, "token hidden"],
        ranks: Int[Tensor, " token"],
        genes: Int[Tensor, "next_cell rank"],
    ) -> Float[Tensor, "context next_cell"]:
        """Log-likelihood of each next cell after each context; see `contrastive_loss`.

        Args:
            hidden: At each rank of each context.
            ranks: Those ranks, context after context.
            genes: Of each next cell at each rank.
        """
        features, weight = self.features(hidden, ranks), self.joint_weight()
        return origin_scores(features, weight, self.decoder.bias, genes)

    def features(
        self, hidden: Float[Tensor, "token hidden"], ranks: Int[Tensor, " token"]
    ) -> Float[Tensor, "token feature"]:
        """What `joint_weight` is multiplied by: the logits are one product, plus a bias."""
        features: Tensor = self.transform(hidden)
        if self.rank_bias is None:
            return features
        return torch.cat([features, self.rank_bias.shares(ranks).to(features.dtype)], dim=1)

    def joint_weight(self) -> Float[Tensor, "vocab feature"]:
        """The vocabulary's rows, with the bias of each rank as further columns."""
        weight: Tensor = self.decoder.weight
        if self.rank_bias is None:
            return weight
        return torch.cat([weight, self.rank_bias.logits], dim=1)


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
        self.time_gap = TimeGapEmbedding(config) if config.time_gaps else None
        self.apply(self._initialise)

    def forward(
        self, batch: TemporalBatch, attend: Attention, objective: Objective = "next_cell"
    ) -> Float[Tensor, "scored vocab"]:
        """Logits at the scored positions, in the order of the batch."""
        hidden = self.hidden(batch, attend, objective)
        return self.cls.predictions(hidden, batch.scored_ranks)

    def summed_loss(
        self, batch: TemporalBatch, attend: Attention, objective: Objective = "next_cell"
    ) -> Float[Tensor, ""]:
        """Cross-entropy in nats, summed over the scored positions."""
        hidden = self.hidden(batch, attend, objective)
        return self.cls.predictions.summed_loss(hidden, batch.scored_labels, batch.scored_ranks)

    def losses(
        self, batch: TemporalBatch, attend: Attention, mask_id: int
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The summed cross-entropy and the mean contrastive term, both from one pass.

        Every context is asked for the shared ranks of the batch too, all of them masked.

        Args:
            batch: With what the contrastive term compares.
            attend: The attention backend.
            mask_id: The token `[MASK]`.
        """
        contexts, num_ranks = batch.num_contexts, len(batch.contrast_ranks)
        ranks = batch.contrast_ranks.repeat(contexts)
        asked = torch.arange(contexts + 1, device=ranks.device) * num_ranks
        hidden = self.bert(
            batch.context_ids,
            CellOffsets.of(batch.context_offsets),
            torch.cat([batch.scored_ids, torch.full_like(ranks, mask_id)]),
            torch.cat(
                [scored_positions(batch, self.config), compared_positions(batch, self.config)]
            ),
            [CellOffsets.of(scored_offsets_per_context(batch)), CellOffsets.of(asked)],
            attend,
            gap_vectors=self.gap_vectors(batch, num_compared=len(ranks)),
        )
        scored, compared = hidden.split([batch.num_scored, len(ranks)])
        head = self.cls.predictions
        summed = head.summed_loss(scored, batch.scored_labels, batch.scored_ranks)
        genes = batch.contrast_genes.view(len(batch.next_cells), num_ranks)
        scores = head.origin_scores(compared, ranks, genes)
        return summed, contrastive_loss(scores, batch.next_cell_context, batch.contrast_left_out)

    def logits_and_contexts(
        self, batch: TemporalBatch, attend: Attention
    ) -> tuple[Float[Tensor, "scored vocab"], Float[Tensor, "context_token hidden"]]:
        """The logits, and the last layer's output at the contexts: both from one pass."""
        hidden = self.hidden(batch, attend, keep_contexts=True)
        contexts, scored = hidden.split([len(batch.context_ids), batch.num_scored])
        return self.cls.predictions(scored, batch.scored_ranks), contexts

    def hidden(
        self,
        batch: TemporalBatch,
        attend: Attention,
        objective: Objective = "next_cell",
        *,
        keep_contexts: bool = False,
    ) -> Float[Tensor, "token hidden"]:
        """The last layer's output at the scored positions.

        Args:
            batch: Under the objective `mlm`, of cells that are their own next cells.
            attend: The attention backend.
            objective: `next_cell`, or `mlm` as plain Geneformer is trained.
            keep_contexts: Of the contexts too, before the others; for next cells alone.
        """
        if objective == "mlm":
            return self._hidden_in_contexts(batch, attend)
        return self.bert(
            batch.context_ids,
            CellOffsets.of(batch.context_offsets),
            batch.scored_ids,
            scored_positions(batch, self.config),
            [CellOffsets.of(scored_offsets_per_context(batch))],
            attend,
            gap_vectors=self.gap_vectors(batch),
            keep_contexts=keep_contexts,
        )

    def gap_vectors(
        self, batch: TemporalBatch, num_compared: int = 0
    ) -> Float[Tensor, "scored_and_compared hidden"] | None:
        """What time gaps add at the scored positions; None where no gap is told.

        Args:
            batch: Contexts and scored positions.
            num_compared: Positions after these that are asked without a gap.

        Raises:
            ValueError: A gap is told to a model that was trained without gaps.
        """
        if not len(batch.time_gaps):
            return None
        if self.time_gap is None:
            raise ValueError("this model was trained without time gaps and cannot be told one")
        of_cells = self.time_gap(batch.time_gaps)
        vectors = of_cells.repeat_interleave(batch.scored_offsets.diff(), dim=0)
        return F.pad(vectors, (0, 0, 0, num_compared)) if num_compared else vectors

    def _hidden_in_contexts(
        self, batch: TemporalBatch, attend: Attention
    ) -> Float[Tensor, "scored hidden"]:
        """The shown tokens replace the scored genes in their cell, where all attend to all.

        The last layer computes the scored positions only.
        """
        at = places_in_contexts(batch)
        shown = batch.context_ids.index_copy(0, at, batch.scored_ids)
        contexts = CellOffsets.of(batch.context_offsets)
        last = self.bert.layers[-1]
        hidden = self.bert.read(shown, contexts, attend, len(self.bert.layers) - 1)
        scored = CellOffsets.of(scored_offsets_per_context(batch))
        both = torch.cat([hidden, hidden[at]])
        return last(both, (contexts, scored), attend, drop_contexts=True)

    def set_recompute(self, what: Recompute) -> None:
        """Choose what the backward pass computes again; see `Recompute`."""
        for layer in self.bert.layers:
            layer.recompute = what

    def set_matmul_backend(self, backend: MatmulBackend) -> None:
        """Choose the library of the linear layers' products on a CPU; see `MatmulBackend`."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.matmul_backend = backend

    def compile_layers(self) -> None:
        """Compile the layers with `torch.compile`, at their next call."""
        for layer in self.bert.layers:
            layer.compile_whole()

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def positions_within(cells: CellOffsets) -> Int[Tensor, " token"]:
    """The index of each packed token within its cell, from 0."""
    offsets = cells.offsets
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


def compared_positions(
    batch: TemporalBatch, config: BioBertConfig
) -> Int[Tensor, " context_x_rank"]:
    """The position ids of the ranks that every context is asked for; see `scored_positions`."""
    ranks = batch.contrast_ranks.repeat(batch.num_contexts)
    if config.position_scheme == "restarted":
        return ranks
    last_of_context = batch.context_offsets.diff() - 1
    return ranks + last_of_context.repeat_interleave(len(batch.contrast_ranks))


def places_in_contexts(batch: TemporalBatch) -> Int[Tensor, " scored"]:
    """Indices of the scored ranks in the packed contexts, for cells that are their own next cells.

    Rank r is r tokens after `[CLS]`.
    """
    starts = batch.context_offsets[:-1][batch.next_cell_context]
    return starts.repeat_interleave(batch.scored_offsets.diff()) + batch.scored_ranks


def scored_offsets_per_context(batch: TemporalBatch) -> Int[Tensor, " contexts_plus_1"]:
    """Offsets of the scored genes by context instead of by next cell."""
    contexts = torch.arange(batch.num_contexts + 1, device=batch.next_cell_context.device)
    first_next_cell = torch.searchsorted(batch.next_cell_context, contexts)
    return batch.scored_offsets[first_next_cell]
