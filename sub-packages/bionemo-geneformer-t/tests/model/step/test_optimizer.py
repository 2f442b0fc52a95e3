"""Frozen layers keep their weights; learning rates fall with depth; nothing else changes."""

from dataclasses import replace

import lightning as L
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from textbook import packed, random_pair

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.step.optimizer import (
    depth_of,
    freeze_layers,
    num_trainable,
    parameter_groups,
)
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

CONFIG = BioBertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=64,
    initializer_range=0.2,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return NextCellBert(CONFIG)


def step(net, groups):
    """One step of plain gradient descent; returns how much each weight moved."""
    generator = np.random.default_rng(0)
    batch = packed([random_pair(generator, 20, 20, 8, CONFIG.vocab_size) for _ in range(4)])
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = torch.optim.SGD([{**group, "weight_decay": 0.0} for group in groups])
    loss = F.cross_entropy(net(batch, ATTENTION_BACKENDS["per_cell"]), batch.scored_labels)
    loss.backward()
    optimizer.step()
    return {name: (p.detach() - before[name]) for name, p in net.named_parameters()}


def test_frozen_layers_stay_and_everything_else_moves(net):
    freeze_layers(net, 2)
    moved = step(net, parameter_groups(net, 0.1, 0.0, None))
    for name, change in moved.items():
        is_frozen = name.startswith(("bert.encoder.layer.0.", "bert.encoder.layer.1."))
        if not name.endswith("self.key.bias"):  # whose gradient is zero but for rounding
            assert bool(change.any()) != is_frozen, name
        assert not (is_frozen and change.any())


@pytest.mark.parametrize("number", [-1, 4])
def test_more_layers_than_there_are_cannot_be_frozen(net, number):
    with pytest.raises(ValueError, match=f"between 0 and 3, .* got {number}"):
        freeze_layers(net, number)


def test_without_decay_there_are_two_groups_as_ever(net):
    decayed, spared = parameter_groups(net, 0.1, 0.01, None)
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim == 1 for p in spared["params"])
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert len(decayed["params"]) + len(spared["params"]) == len(list(net.parameters()))


def test_each_depth_moves_by_its_own_rate(net):
    twin = NextCellBert(CONFIG)
    twin.load_state_dict(net.state_dict())
    plain = step(net, parameter_groups(net, 0.1, 0.0, None))
    decayed = step(twin, parameter_groups(twin, 0.1, 0.0, 0.5))
    for name, change in plain.items():
        factor = 0.5 ** (4 - depth_of(name, top=4))
        # one float32 subtraction from a weight of order 1
        torch.testing.assert_close(decayed[name], change * factor, rtol=1e-3, atol=3e-7)


def test_what_belongs_to_one_gene_moves_by_its_own_rate():
    torch.manual_seed(0)
    net, twin = (NextCellBert(replace(CONFIG, rank_knots=8)) for _ in range(2))
    twin.load_state_dict(net.state_dict())
    plain = step(net, parameter_groups(net, 0.1, 0.0))
    slow = step(twin, parameter_groups(twin, 0.1, 0.0, None, 0.25))
    of_genes = {name for name, p in net.named_parameters() if p.shape[0] == CONFIG.vocab_size}
    assert of_genes == {
        "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias",
        "cls.predictions.rank_bias.change",
    }
    for name, change in plain.items():
        factor = 0.25 if name in of_genes else 1.0
        torch.testing.assert_close(slow[name], change * factor, rtol=1e-3, atol=3e-7)


def test_rates_of_genes_and_of_depths_multiply(net):
    groups = parameter_groups(net, 1.0, 0.0, 0.5, 0.25)
    rate_of = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rate_of) == len(list(net.parameters()))
    rates = {name: rate_of[id(p)] for name, p in net.named_parameters()}
    assert rates["bert.embeddings.word_embeddings.weight"] == 0.25 * 0.5**4
    assert rates["bert.embeddings.position_embeddings.weight"] == 0.5**4
    assert rates["cls.predictions.decoder.bias"] == 0.25
    assert groups[0]["lr"] == 1.0


def test_depths_count_from_the_embeddings_to_the_head(net):
    depths = {name: depth_of(name, top=4) for name, _ in net.named_parameters()}
    assert depths["bert.embeddings.word_embeddings.weight"] == 0
    assert depths["bert.encoder.layer.0.output.dense.weight"] == 1
    assert depths["bert.encoder.layer.2.attention.self.query.bias"] == 3
    assert depths["cls.predictions.decoder.bias"] == 4
    rates = [group["lr"] for group in parameter_groups(net, 1.0, 0.0, 0.5)]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[-1]) == (1.0, 0.5**4)


def test_trainable_weights_are_counted(net):
    everything = sum(p.numel() for p in net.parameters())
    freeze_layers(net, 3)
    in_layers = sum(p.numel() for p in net.bert.encoder.parameters())
    assert num_trainable(net) == (everything - in_layers, everything)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fused_step_bears_gradients_clipped_by_value(tiny_data_dir, precision):
    """Lightning itself refuses this pair in mixed precision, for the sake of loss scalers."""
    seen = []

    class Watched(TemporalGeneformerModel):
        def configure_gradient_clipping(self, optimizer, **clip):
            super().configure_gradient_clipping(optimizer, **clip)
            largest = max(float(p.grad.abs().max()) for p in self.parameters())
            seen.append((optimizer.param_groups[0]["fused"], largest))

    data = TemporalGeneformerDataModule(
        tiny_data_dir, seq_length=64, micro_batch_size=4, num_workers=0
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=2,
        precision=precision,
        gradient_clip_val=1e-4,
        gradient_clip_algorithm="value",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        limit_val_batches=0,
    )
    model = Watched(replace(CONFIG, vocab_size=len(data.vocab)))
    trainer.fit(model, data)
    assert [(fused, round(largest, 9)) for fused, largest in seen] == 2 * [(True, 1e-4)]
