"""Attention on the CPU: PyTorch's fused kernel on views of the packed tokens, nothing kept twice.

Neighbouring cells with equal numbers of queries and of keys share a call, because together they
are already a batch; cells that were cut to the same length often do. What autograd would keep of
splitting and joining (a second copy of what was attended, and of each gradient) is not kept.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class Run(NamedTuple):
    """Neighbouring cells with equal numbers of queries and of keys."""

    cells: int
    queries: slice
    """Packed queries of all its cells."""
    keys: slice

    def of_queries(self, packed: Float[Tensor, "query head dim"]) -> Tensor:
        """A view `[cell, head, query, dim]` of this run's queries."""
        return packed[self.queries].unflatten(0, (self.cells, -1)).transpose(1, 2)

    def of_keys(self, packed: Float[Tensor, "key head dim"]) -> Tensor:
        """A view `[cell, head, key, dim]` of this run's keys."""
        return packed[self.keys].unflatten(0, (self.cells, -1)).transpose(1, 2)


def runs(num_queries: Sequence[int], num_keys: Sequence[int]) -> Iterator[Run]:
    """The runs of packed cells, left out those without a query."""
    query_start = key_start = 0
    for (queries, keys), cells in groupby(zip(num_queries, num_keys, strict=True)):
        number = len(list(cells))
        query_stop, key_stop = query_start + number * queries, key_start + number * keys
        if queries:
            yield Run(number, slice(query_start, query_stop), slice(key_start, key_stop))
        query_start, key_start = query_stop, key_stop


class _CpuAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "query head dim"],
        key: Float[Tensor, "key head dim"],
        value: Float[Tensor, "key head dim"],
        num_queries: list[int],
        num_keys: list[int],
    ) -> Float[Tensor, "query head dim"]:
        """Attend run by run into one packed result."""
        attended = torch.empty_like(query)
        sums = []
        for run in runs(num_queries, num_keys):
            q, k, v = run.of_queries(query), run.of_keys(key), run.of_keys(value)
            out, log_sum = _forward(q, k, v)
            run.of_queries(attended).copy_(out)
            sums.append(log_sum)
        ctx.save_for_backward(query, key, value, attended, *sums)
        ctx.lengths = num_queries, num_keys
        return attended

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of queries, keys and values; keys of nobody get zero."""
        query, key, value, attended, *sums = ctx.saved_tensors
        grad_query, grad_key, grad_value = map(torch.zeros_like, (query, key, value))
        for run, log_sum in zip(runs(*ctx.lengths), sums, strict=True):
            q, k, v = run.of_queries(query), run.of_keys(key), run.of_keys(value)
            out, grad_out = run.of_queries(attended), run.of_queries(gradients[0])
            d_q, d_k, d_v = _backward(grad_out, q, k, v, out, log_sum, 0.0, False)  # noqa: FBT003
            run.of_queries(grad_query).copy_(d_q)
            run.of_keys(grad_key).copy_(d_k)
            run.of_keys(grad_value).copy_(d_v)
        return grad_query, grad_key, grad_value, None, None


def cpu_attention(
    query: Float[Tensor, "query head dim"],
    key: Float[Tensor, "key head dim"],
    value: Float[Tensor, "key head dim"],
    num_queries: list[int],
    num_keys: list[int],
) -> Float[Tensor, "query head dim"]:
    """Attend cell by cell without dropout.

    Args:
        query: Packed queries.
        key: Packed keys.
        value: Packed values.
        num_queries: Queries of each cell.
        num_keys: Keys of each cell.
    """
    attended: Tensor = _CpuAttention.apply(  # type: ignore[no-untyped-call] # torch's
        query, key, value, num_queries, num_keys
    )
    return attended
