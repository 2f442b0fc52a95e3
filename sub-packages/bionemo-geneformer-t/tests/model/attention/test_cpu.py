"""The CPU's fused attention: who asks the same cell, and cells of equal size, share a call."""

import pytest
import torch

from bionemo.geneformer_t.model.attention.cpu import cpu_attention
from bionemo.geneformer_t.model.attention.cpu_runs import runs

RAGGED = [(3, 5), (3, 5), (3, 5), (0, 2), (7, 4), (7, 5), (1, 1)]
"""Queries and keys of each cell."""
TWO_ASKERS = [(5, 2, 5), (5, 2, 5), (4, 0, 4), (0, 0, 2), (0, 3, 6), (1, 1, 1)]
"""Queries of the first asker, of the second, and keys of each cell."""


def parts(lengths, dtype=torch.float64, heads=2, dim=8):
    torch.manual_seed(0)
    *queries, keys = (sum(numbers) for numbers in zip(*lengths, strict=True))
    shapes = [(n, heads, dim) for n in (sum(queries), keys, keys)]
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


def of_each(lengths):
    """The numbers of queries, asker by asker, and those of keys."""
    *queries, keys = map(list, zip(*lengths, strict=True))
    return queries, keys


def attend(lengths, query, key, value):
    return cpu_attention(query, key, value, *of_each(lengths))


def plain(lengths, query, key, value):
    askers, keys = of_each(lengths)
    attended = []
    for asked, queries in zip(query.split([sum(a) for a in askers]), askers, strict=True):
        for q, k, v in zip(asked.split(queries), key.split(keys), value.split(keys), strict=True):
            scores = torch.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
            attended.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v))
    return torch.cat(attended)


@pytest.mark.parametrize(
    "lengths", [RAGGED, TWO_ASKERS, [(4, 4)], [(2, 6), (2, 6)], [(0, 3), (0, 3)]]
)
def test_result_and_gradients_are_plain_attentions(lengths):
    inputs = parts(lengths)
    found, expected = attend(lengths, *inputs), plain(lengths, *inputs)
    torch.testing.assert_close(found, expected)
    pull = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad(found, inputs, pull), torch.autograd.grad(expected, inputs, pull)
    )


def test_neighbouring_cells_of_equal_sizes_share_a_call():
    found = list(runs(*of_each(RAGGED)))
    assert [run.cells for run in found] == [3, 1, 1, 1]  # the cell without a query is left out
    assert [(*run.queries, run.keys) for run in found] == [
        (slice(0, 9), slice(0, 15)),
        (slice(9, 16), slice(17, 21)),
        (slice(16, 23), slice(21, 26)),
        (slice(23, 24), slice(26, 27)),
    ]


def test_all_who_ask_a_cell_share_a_call():
    found = list(runs(*of_each(TWO_ASKERS)))
    assert [run.cells for run in found] == [2, 1, 1, 1]
    assert [run.queries for run in found] == [
        (slice(0, 10), slice(15, 19)),
        (slice(10, 14), slice(19, 19)),
        (slice(14, 14), slice(19, 22)),
        (slice(14, 15), slice(22, 23)),
    ]
    packed = torch.arange(23.0)[:, None, None]
    joined = found[0].joined(packed)
    assert joined.squeeze().tolist() == [[0, 1, 2, 3, 4, 15, 16], [5, 6, 7, 8, 9, 17, 18]]
    back = torch.zeros_like(packed)
    for run in found:
        run.put_back(run.joined(packed), back)
    assert torch.equal(back, packed)


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
