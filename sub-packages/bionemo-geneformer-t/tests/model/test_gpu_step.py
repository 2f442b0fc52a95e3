"""On an NVIDIA GPU every backend gives the textbook step of the CPU, and isolates as it does."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from small_steps import RAGGED, VOCAB, pairs_of, relative_error, small_config, step, textbook_step
from textbook import packed, textbook_inputs, textbook_model

from bionemo.geneformer_t.model.attention.cell_offsets import CellOffsets, Demand
from bionemo.geneformer_t.model.attention.choose import (
    ATTENTION_BACKENDS,
    GPU_BACKENDS,
    LIMITS,
    choose_attention,
)
from bionemo.geneformer_t.model.network import NextCellBert

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU here")

CUDA = torch.device("cuda", 0)
BACKENDS = {**ATTENTION_BACKENDS, **GPU_BACKENDS}
PRECISIONS = [torch.float32, torch.bfloat16]
SIZES = [*RAGGED, *((n, n, 1 + n // 7) for n in range(1, 62, 6))]


def fresh():
    torch.manual_seed(0)
    return NextCellBert(small_config(hidden_size=64, intermediate_size=96))


def on_cpu(values):
    return {name: value.cpu() for name, value in values.items()}


def backend(name, dtype, dropout_prob=0.0):
    """The backend, or a skip where it says that it cannot do this."""
    demand = Demand(device=CUDA, dtype=dtype, head_dim=16, dropout_prob=dropout_prob)
    reason = LIMITS.get(name, lambda demand: None)(demand)
    if reason:
        pytest.skip(reason)
    return choose_attention(name, CUDA, dtype, 16, dropout_prob)


def autocast(dtype):
    return torch.autocast("cuda", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


@pytest.mark.parametrize("name", ["auto", "per_cell", "padded", "efficient"])
def test_in_float32_the_step_equals_the_cpus_textbook_step(name):
    net, pairs = fresh(), pairs_of(SIZES)
    expected = textbook_step(textbook_model(net), textbook_inputs(pairs, net.config))
    moved = deepcopy(net).to(CUDA)
    found = on_cpu(step(moved, packed(pairs).to(CUDA), backend(name, torch.float32)))
    assert abs(found["loss"] - expected["loss"]) < 1e-5 * expected["loss"]
    scale = max(float(g.norm()) for g in expected.values())
    for parameter, gradient in found.items():
        # a key's bias moves all scores of a query alike: its gradient is zero but for rounding
        is_zero = parameter.endswith("self.key.bias")
        size = scale if is_zero else float(expected[parameter].norm())
        assert float((gradient - expected[parameter]).norm()) <= 1e-4 * size, parameter


@pytest.mark.parametrize("name", ["auto", *BACKENDS])
def test_in_bfloat16_the_step_is_as_near_float32_as_the_textbooks(name):
    """As on the CPU (`test_step_options.py`): what can be asked for is the textbook's own error."""
    net, pairs = fresh(), pairs_of(SIZES)
    oracle, inputs = textbook_model(net), textbook_inputs(pairs, net.config)
    exact = textbook_step(oracle, inputs)
    moved, batch = deepcopy(net).to(CUDA), packed(pairs).to(CUDA)
    moved_inputs = {name: value.to(CUDA) for name, value in inputs.items()}
    with autocast(torch.bfloat16):
        theirs = on_cpu(textbook_step(textbook_model(moved).to(CUDA), moved_inputs))
        found = on_cpu(step(moved, batch, backend(name, torch.bfloat16)))
    assert abs(found["loss"] - exact["loss"]) < 0.01 * exact["loss"]
    names = [parameter for parameter in found if parameter != "loss"]
    assert relative_error(found, exact, names) < 1.3 * relative_error(theirs, exact, names) < 0.5


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", BACKENDS)
def test_changing_one_scored_token_changes_no_other_positions_logits(name, dtype):
    net, attend = fresh().to(CUDA), backend(name, dtype)
    batch = packed(pairs_of(SIZES)).to(CUDA)
    with torch.no_grad(), autocast(dtype):
        before = net(batch, attend)
        for position in range(0, batch.num_scored, 7):
            ids = batch.scored_ids.clone()
            ids[position] = (ids[position] + 1) % VOCAB
            after = net(replace(batch, scored_ids=ids), attend)
            others = torch.arange(batch.num_scored, device=CUDA) != position
            assert torch.equal(before[others], after[others])
            assert not torch.equal(before[position], after[position])


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", BACKENDS)
def test_batches_with_nothing_to_score_stay_finite_and_reach_every_parameter(name, dtype):
    net, attend = fresh().to(CUDA), backend(name, dtype)
    for sizes in [[(5, 4, 0)], [(5, 4, 0), (2, 3, 1)], [(4, 0, 0)]]:
        net.zero_grad()
        with autocast(dtype):
            loss = net.summed_loss(packed(pairs_of(sizes)).to(CUDA), attend)
        loss.backward()
        assert torch.isfinite(loss)
        for parameter, weight in net.named_parameters():
            assert weight.grad is not None, parameter
            assert torch.isfinite(weight.grad).all(), parameter


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", ["auto", *BACKENDS])
def test_attention_dropout_drops_at_the_rate_asked_and_keeps_the_mean(name, dtype):
    rate, keys = 0.3, 4096
    attend = backend(name, dtype, rate)
    torch.manual_seed(0)
    query = torch.zeros(64, 4, 16, device=CUDA, dtype=dtype)  # equal scores
    value = torch.ones(2 * keys, 4, 16, device=CUDA, dtype=dtype)
    askers, seen = (CellOffsets.of(torch.tensor([0, n, 2 * n], device=CUDA)) for n in (32, keys))
    found = attend(query, torch.zeros_like(value), value, [askers], seen, rate).float()
    # a mean over 4,096 draws, each 0 or 1 / 0.7, has a standard error of 0.0102
    assert float((found - 1).abs().max()) < 0.08
    assert 0.006 < float(found[..., 0].std()) < 0.015
