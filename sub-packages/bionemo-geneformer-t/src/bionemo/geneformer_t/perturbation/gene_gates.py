"""Effects of deleting each gene of a cell, to first order, from one backward pass a readout.

Deleting a gene takes its key out of every attention and moves all genes behind it up by one
position; if the cell has more genes than the model reads, the first one beyond moves in. Positions
are not smooth in a trained network, so that the gradient at the cell as it is says little about
that. The estimate therefore has three parts:

- What attention finds in the first layer is computed for every deletion without approximation
  (`first_attention.py`).
- Where the next cell is expected along canonical axes changes by a known sum
  (`deleted_points.py`).
- What follows is linear, with the gradient half-way: every token is the mean of its two forms
  (`shifted_cells.py`), and the gene that moves in counts half. In the layers above a gate
  multiplies the weight of each key, P_qk = g_k e^{s_qk} / sum_j g_j e^{s_qj}; the gradient with
  respect to it is that of taking the key out.

The work is that of a few passes of each cell, whatever the number of its genes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.attention.cell_offsets import Attention, CellOffsets, Queries
from bionemo.geneformer_t.model.attention.cell_offsets import Keys as PackedKeys
from bionemo.geneformer_t.model.layer import SelfAttention
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.perturbation.deleted_points import deleted_points, expected_points
from bionemo.geneformer_t.perturbation.first_attention import (
    Keys,
    attended_before,
    deletion_changes,
)
from bionemo.geneformer_t.perturbation.shifted_cells import ShiftedCells, shifted_cells
from bionemo.geneformer_t.ragged import Ragged

Readout = Callable[
    [Float[Tensor, "cell rank gene"], Float[Tensor, "cell axis"]], Float[Tensor, "cell readout"]
]
"""Numbers that are read from the log-probabilities of genes, in the order of `vocab.gene_ids`, at
ranks 1, 2, ... of the next cell, and from where it is expected along canonical axes (no columns for
a model without axes); differentiable, and those of a cell from this cell alone."""

HALF = 0.5
"""How much a gene that moves in counts half-way."""


def gated(attend: Attention, log_gates: Float[Tensor, " key"]) -> Attention:
    """Attention in which the weight of each key is multiplied by a gate, then normalised.

    The logarithm of the gate is added to the scores, by a further column of queries and keys.

    Args:
        attend: The attention backend.
        log_gates: Of each packed key.
    """

    def attend_gated(
        query: Queries,
        key: PackedKeys,
        value: PackedKeys,
        segments: Sequence[CellOffsets],
        key_cells: CellOffsets,
        dropout_prob: float = 0.0,
    ) -> Queries:
        dim = query.shape[-1]
        root = (dim + 1) ** 0.5  # what the backend divides scores by
        gates = log_gates.to(key.dtype)[:, None, None].expand(-1, key.shape[1], 1)
        attended = attend(
            F.pad(query * (root / dim**0.5), (0, 1), value=root),
            torch.cat([key, gates], dim=-1),
            F.pad(value, (0, 1)),
            segments,
            key_cells,
            dropout_prob,
        )
        return attended[..., :dim]

    return attend_gated


def gene_log_probs_at(
    model: NextCellModel,
    hidden: Float[Tensor, "scored hidden"],
    ranks: Int[Tensor, " scored"],
    num_cells: int,
) -> Float[Tensor, "cell rank gene"]:
    """Log-probabilities of the genes of the vocabulary alone, from the last layer's output.

    Args:
        model: Its head is used.
        hidden: At the ranks of all cells.
        ranks: From 1, as many of each cell.
        num_cells: Cells.
    """
    head = model.net.cls.predictions
    gene_ids = torch.from_numpy(model.required_vocab().gene_ids).to(hidden.device)
    weight, bias = head.joint_weight()[gene_ids], head.decoder.bias[gene_ids]
    logits = F.linear(head.features(hidden, ranks), weight.detach(), bias.detach())
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return wide.log_softmax(-1).unflatten(0, (num_cells, -1))


class _Gradients(NamedTuple):
    """Of the readouts half-way."""

    contexts: Float[Tensor, "readout context_token hidden"]
    """With respect to the embedded tokens, past the first layer's attention."""
    scored: Float[Tensor, "readout scored hidden"]
    contexts_attended: Float[Tensor, "readout context_query head dim"]
    """With respect to what the first layer's attention finds; no query if it is the last layer."""
    scored_attended: Float[Tensor, "readout scored head dim"]
    log_gates: Float[Tensor, "readout context_token"]
    """With respect to the gates of the layers above."""
    points: Float[Tensor, "readout cell axis"]
    """With respect to where next cells are expected along canonical axes."""


def first_order_effects(
    model: NextCellModel, cells: Ragged, num_ranks: int, readout: Readout
) -> list[Float[Tensor, "gene readout"]]:
    """For each cell of a batch, the effect of deleting each gene that the model reads.

    Args:
        model: In evaluation mode. Its network is used alone, without kNN memory.
        cells: Genes of each in rank order, at most one more than are read; none is empty.
        num_ranks: Ranks of the next cell that the readouts are of.
        readout: See `Readout`.
    """
    with torch.no_grad():
        tokens = shifted_cells(model, cells, genes_per_cell(model), num_ranks)
    points = expected_points(model, cells.truncated(genes_per_cell(model)))
    gradients = _half_way(model, tokens, points, readout)
    project = model.net.bert.layers[0].attention.self
    bounds, asked = (of.offsets.tolist() for of in (tokens.contexts, tokens.scored))
    with torch.no_grad():
        return [
            _of_one_cell(
                project,
                tokens,
                gradients,
                slice(bounds[cell], bounds[cell + 1]),
                slice(asked[cell], asked[cell + 1]),
                num_genes,
            ).T
            + deleted_points(model, cells.row(cell))[:num_genes] @ gradients.points[:, cell].T
            for cell, num_genes in enumerate(tokens.num_genes.tolist())
        ]


def _half_way(
    model: NextCellModel,
    tokens: ShiftedCells,
    points: Float[Tensor, "cell axis"],
    readout: Readout,
) -> _Gradients:
    """One pass through the network half-way, and a pass back for each readout."""
    layers, attend = model.net.bert.layers, model.attention()
    segments = (tokens.contexts, tokens.scored)
    contexts = (tokens.before + tokens.after) / 2
    scored = (tokens.scored_before + tokens.scored_after) / 2
    gates = torch.where(tokens.is_new, HALF, 1.0).to(contexts)
    with torch.enable_grad():
        log_gates = gates.log().requires_grad_()
        start = torch.cat([contexts, scored]).requires_grad_()
        found: list[Tensor] = []

        def attend_first(*inputs: Any) -> Queries:  # the change of what it finds is known exactly
            with torch.no_grad():
                found.append(gated(attend, log_gates)(*inputs))
            return found[0].requires_grad_()

        hidden = start
        for layer in layers:
            of_layer = attend_first if layer is layers[0] else gated(attend, log_gates)
            hidden = layer(hidden, segments, of_layer, drop_contexts=layer is layers[-1])
        points = points.requires_grad_()
        log_probs = gene_log_probs_at(model, hidden, tokens.ranks, len(tokens.num_genes))
        values = readout(log_probs, points)
        of_readouts = [
            torch.autograd.grad(
                of_readout.sum(), (start, found[0], log_gates, points), retain_graph=True,
                materialize_grads=True,
            )
            for of_readout in values.unbind(1)
        ]  # fmt: skip
    of_hidden, of_attended, of_gates, of_points = map(torch.stack, zip(*of_readouts, strict=True))
    num_scored = len(tokens.ranks)
    of_context, of_scored = of_hidden.split([len(contexts), num_scored], dim=1)
    context_queries = of_attended.shape[1] - num_scored
    by_context, by_scored = of_attended.split([context_queries, num_scored], dim=1)
    return _Gradients(of_context, of_scored, by_context, by_scored, of_gates, of_points)


def _of_one_cell(
    project: SelfAttention,
    tokens: ShiftedCells,
    gradients: _Gradients,
    context: slice,
    scored: slice,
    num_genes: int,
) -> Float[Tensor, "readout gene"]:
    """Estimates for all genes of one cell."""

    def heads(linear: torch.nn.Module, hidden: Tensor) -> Float[Tensor, "head token dim"]:
        return project.split(linear(hidden)).transpose(0, 1)

    before, after = tokens.before[context], tokens.after[context]
    keys = Keys(
        heads(project.key, before),
        heads(project.key, after),
        heads(project.value, before),
        heads(project.value, after),
        ~tokens.is_new[context],
    )
    asked, asked_moved = tokens.scored_before[scored], tokens.scored_after[scored]
    changes = deletion_changes(
        heads(project.query, asked_moved),
        attended_before(heads(project.query, asked), keys),
        gradients.scored_attended[:, scored].transpose(1, 2),
        keys,
        num_genes,
    )
    changes += (gradients.scored[:, scored] * (asked_moved - asked)).sum(dim=(1, 2))[:, None]
    if gradients.contexts_attended.shape[1]:
        gene = torch.arange(1, num_genes + 1, device=before.device)
        place = torch.arange(len(before), device=before.device)[:, None]
        query = heads(project.query, before)
        of_queries = gradients.contexts_attended[:, context].transpose(1, 2)
        now = attended_before(query, keys)
        for form, counts in (
            (query, place < gene),
            (heads(project.query, after), place > gene),
        ):
            changes += deletion_changes(form, now, of_queries, keys, num_genes, counts)
    steps = (gradients.contexts[:, context] * (after - before)).sum(dim=-1)
    changes += steps.flip(-1).cumsum(-1).flip(-1)[:, 2 : num_genes + 2]
    gates = gradients.log_gates[:, context]
    moved_in = gates[:, tokens.is_new[context]].sum(dim=1, keepdim=True) / HALF
    return changes + moved_in - gates[:, 1 : num_genes + 1]
