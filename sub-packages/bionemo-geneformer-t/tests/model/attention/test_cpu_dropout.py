"""The CPU's attention with dropout: right gradients, right rate, right mean."""

import pytest
import torch

from bionemo.geneformer_t.model.attention import cpu_dropout as module
from bionemo.geneformer_t.model.attention.cpu_dropout import dropped_attention

LENGTHS = [(3, 5), (0, 2), (7, 4)]
QUERIES, KEYS = 10, 11


def parts(dtype=torch.float64, heads=2, dim=3):
    torch.manual_seed(0)
    return [torch.randn(n, heads, dim, dtype=dtype).requires_grad_() for n in (QUERIES, KEYS, KEYS)]


def attend(query, key, value, dropout_prob, seed=0):
    return dropped_attention(query, key, value, LENGTHS, dropout_prob, seed)


@pytest.mark.parametrize("dropout_prob", [0.0, 0.4])
def test_gradients_are_those_of_the_forward_pass(dropout_prob):
    inputs = parts()
    assert torch.autograd.gradcheck(lambda *qkv: attend(*qkv, dropout_prob), inputs)


def test_without_dropout_it_is_plain_attention():
    query, key, value = parts()
    expected = []
    for q, k, v in zip(
        query.split([q for q, _ in LENGTHS]),
        key.split([k for _, k in LENGTHS]),
        value.split([k for _, k in LENGTHS]),
        strict=True,
    ):
        scores = torch.einsum("qhd,khd->hqk", q, k) / 3**0.5
        expected.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v))
    torch.testing.assert_close(attend(query, key, value, 0.0), torch.cat(expected))


def test_the_mean_over_masks_is_plain_attention():
    query, key, value = parts(torch.float32)
    plain = attend(query, key, value, 0.0)
    mean = torch.stack([attend(query, key, value, 0.3, seed) for seed in range(400)]).mean(0)
    # the standard error of an entry over 400 masks is at most 0.05
    torch.testing.assert_close(mean, plain, rtol=0, atol=0.25)


@pytest.mark.parametrize("dropout_prob", [0.001, 0.1, 0.5, 0.999])
def test_probabilities_are_dropped_at_the_rate_asked(dropout_prob):
    queries, keys = 700, 1500
    # equal scores and values of one: what is attended counts the kept probabilities
    query = torch.zeros(queries, 1, 1)
    kept = dropped_attention(
        query, torch.zeros(keys, 1, 1), torch.ones(keys, 1, 1), [(queries, keys)], dropout_prob, 0
    ) * (1 - dropout_prob)
    # a million draws: the standard error is at most 0.0005
    assert float(kept.mean()) == pytest.approx(1 - dropout_prob, abs=0.002)


@pytest.mark.parametrize("lag", [1, 16, 48, module._ROW - 48, module._ROW - 16, module._ROW])
def test_probabilities_are_dropped_independently_of_each_other(lag):
    """Also those whose words share a draw, which are the lags that are not 1 or a row."""
    generator = torch.Generator().manual_seed(0)
    words = module._words(1 << 18, module._Buffers(), generator)
    assert len(words.unique()) == len(words)
    lanes = words.view(torch.int16).view(-1, 4).double() / (1 << 16) + 0.5
    is_dropped = lanes > 0.9
    both = (is_dropped[lag:] & is_dropped[:-lag]).double().mean()
    # a million pairs at a rate of 0.01: the standard error is 0.0001 if they are independent
    assert float(both) == pytest.approx(0.01, abs=0.0005)


@pytest.mark.parametrize("dropout_prob", [0.0, 0.4])
@pytest.mark.slow
def test_blocks_of_queries_give_what_one_block_gives(monkeypatch, dropout_prob):
    """Draws follow the blocks, so only their number of probabilities may differ."""
    inputs = parts()
    monkeypatch.setattr(module, "_FEWEST_QUERIES", 2)
    found = []
    for block in (1, 1 << 20):
        monkeypatch.setattr(module, "_BLOCK", block)
        out = attend(*inputs, dropout_prob)
        found.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
    if not dropout_prob:
        torch.testing.assert_close(*found)
    monkeypatch.setattr(module, "_BLOCK", 1)
    assert torch.autograd.gradcheck(lambda *qkv: attend(*qkv, dropout_prob), inputs)


def test_16_bit_inputs_are_computed_in_float32():
    inputs = [tensor.detach().bfloat16() for tensor in parts(torch.float32)]
    found = attend(*inputs, 0.3)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, attend(*(tensor.float() for tensor in inputs), 0.3).bfloat16())


def test_the_same_seed_gives_the_same_mask():
    inputs = parts(torch.float32)
    assert torch.equal(attend(*inputs, 0.5, 1), attend(*inputs, 0.5, 1))
    assert not torch.equal(attend(*inputs, 0.5, 1), attend(*inputs, 0.5, 2))


def test_groups_without_queries_give_their_keys_no_gradient():
    query, key, value = parts()
    attend(query, key, value, 0.2).sum().backward()
    assert not key.grad[5:7].any()
    assert not value.grad[5:7].any()
