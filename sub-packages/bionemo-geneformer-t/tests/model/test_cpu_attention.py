"""The CPU's fused attention: cells of equal size share a call, and each sees its own keys only."""

import pytest
import torch

from bionemo.geneformer_t.model.cpu_attention import cpu_attention, runs

RAGGED = [(3, 5), (3, 5), (3, 5), (0, 2), (7, 4), (7, 5), (1, 1)]


def parts(lengths, dtype=torch.float64, heads=2, dim=8):
    torch.manual_seed(0)
    queries, keys = (sum(numbers) for numbers in zip(*lengths, strict=True))
    shapes = [(n, heads, dim) for n in (queries, keys, keys)]
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


def attend(lengths, query, key, value):
    return cpu_attention(query, key, value, *map(list, zip(*lengths, strict=True)))


def plain(lengths, query, key, value):
    queries, keys = zip(*lengths, strict=True)
    attended = []
    for q, k, v in zip(query.split(queries), key.split(keys), value.split(keys), strict=True):
        scores = torch.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
        attended.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v))
    return torch.cat(attended)


@pytest.mark.parametrize("lengths", [RAGGED, [(4, 4)], [(2, 6), (2, 6)], [(0, 3), (0, 3)]])
def test_result_and_gradients_are_plain_attentions(lengths):
    inputs = parts(lengths)
    found, expected = attend(lengths, *inputs), plain(lengths, *inputs)
    torch.testing.assert_close(found, expected)
    pull = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad(found, inputs, pull), torch.autograd.grad(expected, inputs, pull)
    )


def test_neighbouring_cells_of_equal_size_share_a_call():
    found = list(runs(*map(list, zip(*RAGGED, strict=True))))
    assert [run.cells for run in found] == [3, 1, 1, 1]  # the cell without a query is left out
    assert [(run.queries.start, run.keys.start) for run in found] == [
        (0, 0),
        (9, 17),
        (16, 21),
        (23, 26),
    ]


def test_keys_of_cells_without_queries_get_a_gradient_of_zero():
    query, key, value = parts(RAGGED)
    attend(RAGGED, query, key, value).sum().backward()
    assert not key.grad[15:17].any()
    assert not value.grad[15:17].any()


def test_one_result_is_kept_for_the_backward_pass():
    """Queries, keys and values are kept anyway, by what made them; results once, and their sums."""
    query, key, value = parts(RAGGED)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda tensor: tensor):
        attended = attend(RAGGED, query, key, value)
    own = [tensor for tensor in kept if all(tensor is not given for given in (query, key, value))]
    assert sum(tensor.numel() for tensor in own) == attended.numel() + len(query) * 2
