"""The CPU's attention in blocks of queries: right gradients, right rate, right mean."""

import pytest
import torch

from bionemo.geneformer_t.model.attention import cpu_blocks as module
from bionemo.geneformer_t.model.attention.cpu_blocks import block_attention

NUM_QUERIES, NUM_KEYS = [[3, 0, 4, 4], [1, 0, 2, 2]], [5, 2, 4, 4]
"""Of each cell, by query segment; the last two cells share their calls."""


def parts(dtype=torch.float64, heads=2, dim=3):
    torch.manual_seed(0)
    shapes = [(n, heads, dim) for n in (sum(map(sum, NUM_QUERIES)), *2 * [sum(NUM_KEYS)])]
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


def attend(query, key, value, dropout_prob, seed=0):
    return block_attention(query, key, value, NUM_QUERIES, NUM_KEYS, dropout_prob, seed)


def plain(query, key, value):
    attended, keys, values = [], key.split(NUM_KEYS), value.split(NUM_KEYS)
    for asked, queries in zip(query.split([11, 5]), NUM_QUERIES, strict=True):
        for q, k, v in zip(asked.split(queries), keys, values, strict=True):
            scores = torch.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
            attended.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v))
    return torch.cat(attended)


@pytest.mark.parametrize("dropout_prob", [0.0, 0.4])
def test_gradients_are_those_of_the_forward_pass(dropout_prob):
    inputs = parts()
    assert torch.autograd.gradcheck(lambda *qkv: attend(*qkv, dropout_prob), inputs)


def test_without_dropout_it_is_plain_attention():
    inputs = parts()
    torch.testing.assert_close(attend(*inputs, 0.0), plain(*inputs))


def test_the_mean_over_masks_is_plain_attention():
    inputs = parts(torch.float32)
    mean = torch.stack([attend(*inputs, 0.3, seed) for seed in range(400)]).mean(0)
    # the standard error of an entry over 400 masks is at most 0.05
    torch.testing.assert_close(mean, plain(*inputs), rtol=0, atol=0.25)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dropout_prob", [0.001, 0.1, 0.5, 0.999])
def test_probabilities_are_dropped_at_the_rate_asked(dropout_prob, dtype):
    queries, keys = 700, 1024
    # equal scores and values of one: what is attended counts the kept probabilities
    query = torch.zeros(queries, 1, 1, dtype=dtype)
    key, value = torch.zeros(keys, 1, 1, dtype=dtype), torch.ones(keys, 1, 1, dtype=dtype)
    attended = block_attention(query, key, value, [[queries]], [keys], dropout_prob, 0)
    kept = attended.double() * (1 - dropout_prob)
    # 700,000 draws: the standard error is at most 0.0006
    assert float(kept.mean()) == pytest.approx(1 - dropout_prob, abs=0.003)


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


@pytest.mark.parametrize("dropout_prob", [0.0, 0.3])
@pytest.mark.parametrize("multiple", [1, 8])
def test_in_bfloat16_the_same_probabilities_are_dropped(monkeypatch, dropout_prob, multiple):
    """Eight bits are kept of inputs, probabilities and results: three roundings of 0.002 to 0.004
    each; another mask would differ by the whole. Masks follow what is padded."""
    monkeypatch.setattr(module, "_MULTIPLE", multiple)
    monkeypatch.setattr(module, "_PADDED", (torch.bfloat16, torch.float32))
    rounded = [tensor.detach().bfloat16().requires_grad_() for tensor in parts(dim=64)]
    precise = [tensor.detach().float().requires_grad_() for tensor in rounded]
    found, expected = (attend(*inputs, dropout_prob) for inputs in (rounded, precise))
    assert found.dtype == torch.bfloat16
    pull = torch.randn_like(expected)
    both = zip(
        [found, *torch.autograd.grad(found, rounded, pull.bfloat16())],
        [expected, *torch.autograd.grad(expected, precise, pull)],
        strict=True,
    )
    for got, wanted in both:
        assert got.dtype == torch.bfloat16
        assert float((got.float() - wanted).detach().norm() / wanted.detach().norm()) < 0.01


@pytest.mark.parametrize("dropout_prob", [0.0, 0.4])
@pytest.mark.slow
def test_padding_changes_no_result(monkeypatch, dropout_prob):
    inputs = parts()
    whole = attend(*inputs, 0.0)
    monkeypatch.setattr(module, "_PADDED", (torch.float64,))
    monkeypatch.setattr(module, "_MULTIPLE", 4)  # of 4, 0, 6 queries and of 5, 2, 4 keys
    torch.testing.assert_close(attend(*inputs, 0.0), whole)
    assert torch.autograd.gradcheck(lambda *qkv: attend(*qkv, dropout_prob), inputs)


def test_cells_of_many_lengths_ask_few_shapes_of_products(monkeypatch):
    """Each new shape of 16-bit numbers is a kernel to compile."""
    asked, bmm = set(), torch.bmm

    def counted(left, right, **given):
        asked.add((left.shape, right.shape))
        return bmm(left, right, **given)

    monkeypatch.setattr(torch, "bmm", counted)
    lengths = list(range(200, 320))
    inputs = [torch.randn(sum(lengths), 1, 8, dtype=torch.bfloat16) for _ in range(3)]
    query = inputs[0].requires_grad_()
    block_attention(query, *inputs[1:], [lengths], lengths, 0.1).float().sum().backward()
    assert len(asked) == 2 * 2  # with keys and with values, of 256 and of 320 tokens


def test_products_are_in_the_precision_of_the_inputs_whatever_autocast_says():
    inputs = parts(torch.float32)
    expected = attend(*inputs, 0.3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(attend(*inputs, 0.3), expected)


def test_the_same_seed_gives_the_same_mask():
    inputs = parts(torch.float32)
    assert torch.equal(attend(*inputs, 0.5, 1), attend(*inputs, 0.5, 1))
    assert not torch.equal(attend(*inputs, 0.5, 1), attend(*inputs, 0.5, 2))


def test_cells_without_queries_give_their_keys_no_gradient():
    query, key, value = parts()
    attend(query, key, value, 0.2).sum().backward()
    assert not key.grad[5:7].any()
    assert not value.grad[5:7].any()


def test_nothing_but_the_inputs_is_kept_for_the_backward_pass():
    inputs = parts()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda tensor: tensor):
        attend(*inputs, 0.1)
    assert all(any(tensor is given for given in inputs) for tensor in kept)
    assert len(kept) == 3
