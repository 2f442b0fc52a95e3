"""LoRA trains its updates alone; merged, they are plain weights that need no peft."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from textbook import packed, random_pair

from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.network import NextCellBert
from bionemo.geneformer_t.model.step.optimizer import num_trainable
from bionemo.geneformer_t.model.weights.lora import add_adapters, has_adapters, merge_adapters

CONFIG = BioBertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=64,
    initializer_range=0.2,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
LINEAR_MAPS = 2 * 6
"""Query, key, value and three dense maps in each layer."""


@pytest.fixture
def net():
    torch.manual_seed(0)
    return NextCellBert(CONFIG)


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    return packed([random_pair(generator, 20, 20, 8, CONFIG.vocab_size) for _ in range(4)])


def train(net, batch, steps=3):
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = net(batch, ATTENTION_BACKENDS["per_cell"])
        F.cross_entropy(logits, batch.scored_labels).backward()
        optimizer.step()


def test_updates_start_at_zero(net, batch):
    before = net(batch, ATTENTION_BACKENDS["per_cell"])
    add_adapters(net, 3)
    assert torch.equal(before, net(batch, ATTENTION_BACKENDS["per_cell"]))


def test_only_updates_train_and_all_of_them_do(net, batch):
    add_adapters(net, 3)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    train(net, batch)
    updates = 0
    for name, tensor in net.state_dict().items():
        is_update = ".lora_A." in name or ".lora_B." in name
        updates += is_update
        assert torch.equal(tensor, before[name]) != is_update, name
    assert updates == 2 * LINEAR_MAPS
    trained, _ = num_trainable(net)
    per_layer = 4 * 3 * (16 + 16) + 2 * 3 * (16 + 24)
    assert trained == 2 * per_layer


@pytest.mark.parametrize("backend", ATTENTION_BACKENDS)
def test_merged_weights_compute_the_same(net, batch, backend):
    names = set(net.state_dict())
    add_adapters(net, 3)
    train(net, batch)
    merged = merge_adapters(net.state_dict())
    assert set(merged) == names
    assert not has_adapters(merged)
    assert has_adapters(net.state_dict())
    plain = NextCellBert(CONFIG)
    plain.load_state_dict(merged)
    attend = ATTENTION_BACKENDS[backend]
    # float32: x (W + BA) and x W + (x A) B round differently
    for objective in ("next_cell", "mlm"):
        mine, theirs = plain(batch, attend, objective), net(batch, attend, objective)
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_merging_plain_weights_changes_nothing(net):
    merged = merge_adapters(net.state_dict())
    assert all(torch.equal(merged[name], tensor) for name, tensor in net.state_dict().items())


def test_a_rank_that_is_none_is_refused(net):
    with pytest.raises(ValueError, match="lora_rank must be at least 1; got 0"):
        add_adapters(net, 0)


def test_without_peft_the_extra_is_named(net, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'bionemo-geneformer-t\[lora\]'"):
        add_adapters(net, 2)
