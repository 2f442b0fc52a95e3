"""Gates weigh keys, and estimates are derivatives of the network written plainly."""

import numpy as np
import pytest
import torch
from small_screens import (
    GENES_READ,
    RANKS,
    cells_of,
    exact_effects,
    readout,
    small_model,
)

from bionemo.geneformer_t.model.attention.cell_offsets import CellOffsets
from bionemo.geneformer_t.model.attention.choose import attend_padded, attend_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.perturbation.deleted_points import expected_points
from bionemo.geneformer_t.perturbation.gene_gates import first_order_effects, gated
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import CLS, MASK, SEP


@pytest.mark.parametrize("attend", [attend_padded, attend_per_cell])
def test_a_gate_multiplies_the_weight_of_its_key(attend) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 6, 2, 4, dtype=torch.float64)
    cells = CellOffsets.of(torch.tensor([0, 2, 6]))

    def by_gates(gates) -> torch.Tensor:
        log_gates = torch.tensor(gates, dtype=torch.float64).log()
        return gated(attend, log_gates)(query, key, value, [cells], cells, 0.0)

    plain = attend(query, key, value, [cells], cells, 0.0)
    torch.testing.assert_close(by_gates([1.0, 1.0, 2.0, 2.0, 2.0, 2.0]), plain)
    kept, twice = torch.tensor([0, 1, 2, 4, 5]), torch.tensor([0, 1, 2, 3, 3, 4, 5])
    for gate, keys in ((0.0, kept), (2.0, twice)):
        bounds = CellOffsets.of(torch.tensor([0, 2, len(keys)]))
        expected = attend(query, key[keys], value[keys], [cells], bounds, 0.0)
        torch.testing.assert_close(by_gates([1.0, 1.0, 1.0, gate, 1.0, 1.0]), expected)


class HalfWay:
    """One cell half-way to a deletion, by plain tensors.

    Args:
        model: In float64.
        genes: Of the cell, one more than are read at most.
    """

    def __init__(self, model: NextCellModel, genes: np.ndarray) -> None:
        self.model, self.genes, self.has_more = model, genes, len(genes) > GENES_READ
        self.num_genes, self.size = min(len(genes), GENES_READ), len(genes) + 2
        vocab, embed = model.required_vocab(), model.net.bert.embeddings
        ids = torch.tensor([vocab.ids[CLS], *genes, vocab.ids[SEP]])
        places = torch.arange(self.size)
        if self.has_more:
            places[-1] -= 1
        first = self.num_genes + 1 if model.config.position_scheme == "continued" else 0
        self.ranks = torch.arange(1, RANKS + 1)
        masks = torch.full((RANKS,), vocab.ids[MASK])
        moved = 0 if self.has_more or not first else 1

        def tokens(context_places, scored_places) -> torch.Tensor:
            context = embed(ids, context_places, torch.zeros_like(ids))
            return torch.cat([context, embed(masks, scored_places, torch.ones_like(masks))])

        behind = torch.where(torch.arange(self.size) > 1, torch.arange(self.size) - 1, places)
        self.before = tokens(places, self.ranks + first)
        self.after = tokens(behind, self.ranks + first - moved)

    def attended(self, layer, queries, hidden, gates) -> torch.Tensor:
        """Attention of queries to the context among `hidden`, each key with its gate."""
        project = layer.attention.self
        key, value = (part(hidden[: self.size]) for part in (project.key, project.value))
        query, key, value = (
            project.split(part).transpose(0, 1) for part in (project.query(queries), key, value)
        )
        weights = (query @ key.mT / query.shape[-1] ** 0.5).exp() * gates
        found = weights / weights.sum(-1, keepdim=True) @ value
        return layer.attention.output.dense(found.transpose(0, 1).flatten(1))

    def first_sum(self, gene: int | None) -> torch.Tensor:
        """What comes before the first layer's LayerNorm with a gene deleted, or with none."""
        gates = torch.ones(self.size, dtype=torch.float64)
        hidden = self.before.clone()
        if gene is None:
            gates[-2] = 0.0 if self.has_more else 1.0
        else:
            gates[gene + 1] = 0.0
            hidden[gene + 2 :] = self.after[gene + 2 :]
        return self.attended(self.model.net.bert.layers[0], hidden, hidden, gates) + hidden

    def half_way_sum(self) -> torch.Tensor:
        """The same half-way."""
        hidden = (self.before + self.after) / 2
        first = self.model.net.bert.layers[0]
        return self.attended(first, hidden, hidden, self.gates()) + hidden

    def gates(self) -> torch.Tensor:
        """Half-way."""
        gates = torch.ones(self.size, dtype=torch.float64)
        gates[-2] = 0.5 if self.has_more else 1.0
        return gates

    def points(self, genes: np.ndarray) -> torch.Tensor:
        """Where the next cell of a cell is expected."""
        return expected_points(self.model, Ragged.of([genes[:GENES_READ]]))

    def readouts(
        self, summed: torch.Tensor, gates: torch.Tensor, points: torch.Tensor
    ) -> torch.Tensor:
        """Through the rest of the network."""
        vocab, hidden = self.model.required_vocab(), summed
        for number, layer in enumerate(self.model.net.bert.layers):
            if number:
                summed = self.attended(layer, hidden, hidden, gates) + hidden
            normed = layer.attention.output.LayerNorm(summed)
            wide = layer.intermediate.dense(normed).relu()
            hidden = layer.output.LayerNorm(layer.output.dense(wide) + normed)
        logits = self.model.net.cls.predictions(hidden[self.size :], self.ranks)
        return readout(logits[None][..., vocab.gene_ids].log_softmax(-1), points)[0]

    def derivative(self, gene: int, step: float = 1e-5) -> torch.Tensor:
        """Along what deleting a gene changes, by a finite difference."""
        change = self.first_sum(gene) - self.first_sum(None)
        change[gene + 1] = 0.0  # nothing attends to it any more
        gate = torch.zeros(self.size, dtype=torch.float64)
        if self.has_more:
            gate[-2] = 1.0
        gate[gene + 1] = -1.0
        summed, gates = self.half_way_sum(), self.gates()
        points = self.points(self.genes).double()
        moved = self.points(np.delete(self.genes, gene)) - points
        ahead, back = (
            self.readouts(
                summed + sign * step * change, gates + sign * step * gate,
                points + sign * step * moved,
            )
            for sign in (1, -1)
        )  # fmt: skip
        return (ahead - back) / (2 * step)


@pytest.mark.parametrize("scheme", ["restarted", "continued"])
@pytest.mark.parametrize(("layers", "with_axes"), [(1, False), (3, False), (1, True)])
def test_effects_are_derivatives_half_way(layers, with_axes, scheme) -> None:
    model = small_model(layers, scheme, with_axes=with_axes)
    rtol, atol = (1e-4, 1e-7) if with_axes else (1e-6, 1e-11)  # points are in float32
    cells = cells_of(model).truncated(GENES_READ + 1)
    found = first_order_effects(model, cells, RANKS, readout)
    with torch.no_grad():
        for genes, effects in zip(cells.rows(), found, strict=True):
            cell = HalfWay(model, genes)
            assert len(effects) == cell.num_genes
            for gene, effect in enumerate(effects):
                torch.testing.assert_close(effect, cell.derivative(gene), rtol=rtol, atol=atol)


@pytest.mark.parametrize("scheme", ["restarted", "continued"])
def test_with_one_layer_the_error_falls_faster_than_what_attention_adds(scheme) -> None:
    errors = []
    for scale in (1e-4, 1e-5):
        model = small_model(1, scheme)
        with torch.no_grad():
            model.net.bert.layers[0].attention.output.dense.weight.mul_(scale)
            model.net.bert.embeddings.position_embeddings.weight.mul_(scale)
        cells = cells_of(model)
        exact = exact_effects(model, cells)
        found = first_order_effects(model, cells.truncated(GENES_READ + 1), RANKS, readout)
        off = np.abs(np.concatenate(found) - exact).max(axis=0) / np.abs(exact).max(axis=0)
        errors.append(off.max())
    assert errors[0] < 1e-3
    assert errors[1] < errors[0] / 8
