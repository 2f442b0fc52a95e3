"""The CPU's attention with dropout: right gradients, right rate, right mean."""

import pytest
import torch

from bionemo.geneformer_t.model.dropped_attention import _keep, dropped_attention

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
    generator = torch.Generator().manual_seed(0)
    kept = _keep(torch.empty(10, 100, 1001), dropout_prob, generator)
    # a million draws: the standard error is at most 0.0005
    assert float(kept.float().mean()) == pytest.approx(1 - dropout_prob, abs=0.002)


def test_the_same_seed_gives_the_same_mask():
    inputs = parts(torch.float32)
    assert torch.equal(attend(*inputs, 0.5, 1), attend(*inputs, 0.5, 1))
    assert not torch.equal(attend(*inputs, 0.5, 1), attend(*inputs, 0.5, 2))


def test_groups_without_queries_give_their_keys_no_gradient():
    query, key, value = parts()
    attend(query, key, value, 0.2).sum().backward()
    assert not key.grad[5:7].any()
    assert not value.grad[5:7].any()
