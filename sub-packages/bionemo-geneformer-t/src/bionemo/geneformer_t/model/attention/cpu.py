"""Attention on the CPU: PyTorch's fused kernel, one call for all queries of a cell.

The kernel takes queries in blocks, larger ones if there are more queries, and is slow for few of
them: so the scored positions of a cell and its own tokens are queries of one call. Neighbouring
cells of equal sizes share a call as well, because together they are already a batch; cells that
were truncated to the same length often do. What autograd would keep of splitting and joining (a
second copy of the result, and of each gradient) is not kept.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bionemo.geneformer_t.model.attention.cell_offsets import Keys, Queries

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class Run(NamedTuple):
    """Neighbouring cells with equal numbers of queries, by query segment, and of keys."""

    cells: int
    queries: tuple[slice, ...]
    """Packed queries of all its cells, by query segment."""
    keys: slice

    def joined(self, packed: Queries) -> Float[Tensor, "cell head q dim"]:
        """The queries of each cell, segment after segment."""
        parts = [self._by_cell(packed, queries) for queries in self.queries]
        return (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)).transpose(1, 2)

    def put_back(self, joined: Float[Tensor, "cell head q dim"], packed: Queries) -> None:
        """Write what belongs to the queries to their places, the way back from `joined`."""
        places = [self._by_cell(packed, queries) for queries in self.queries]
        parts = joined.transpose(1, 2).split([place.shape[1] for place in places], dim=1)
        for place, part in zip(places, parts, strict=True):
            place.copy_(part)

    def of_keys(self, packed: Keys) -> Float[Tensor, "cell head k dim"]:
        """A view of this run's keys."""
        return self._by_cell(packed, self.keys).transpose(1, 2)

    def _by_cell(self, packed: Tensor, where: slice) -> Tensor:
        return packed[where].unflatten(0, (self.cells, (where.stop - where.start) // self.cells))


def runs(num_queries: Sequence[Sequence[int]], num_keys: Sequence[int]) -> Iterator[Run]:
    """The runs of packed cells, left out those without a query.

    Args:
        num_queries: Queries of each cell, by query segment.
        num_keys: Keys of each cell.
    """
    starts, key_start = list(accumulate(map(sum, num_queries[:-1]), initial=0)), 0
    for (*queries, keys), members in groupby(zip(*num_queries, num_keys, strict=True)):
        cells = len(list(members))
        stops = [start + cells * number for start, number in zip(starts, queries, strict=True)]
        key_stop = key_start + cells * keys
        if any(queries):
            yield Run(cells, tuple(map(slice, starts, stops)), slice(key_start, key_stop))
        starts, key_start = stops, key_stop


class _CpuAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Queries,
        key: Keys,
        value: Keys,
        num_queries: list[list[int]],
        num_keys: list[int],
    ) -> Queries:
        """Attend run by run into one packed result."""
        attended = torch.empty_like(query)
        sums = []
        for run in runs(num_queries, num_keys):
            out, log_sum = _forward(run.joined(query), run.of_keys(key), run.of_keys(value))
            run.put_back(out, attended)
            sums.append(log_sum)
        ctx.save_for_backward(query, key, value, attended, *sums)
        ctx.lengths = num_queries, num_keys
        return attended

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of queries, keys and values; unattended keys get zero gradient."""
        query, key, value, attended, *sums = ctx.saved_tensors
        grad_query, grad_key, grad_value = map(torch.zeros_like, (query, key, value))
        for run, log_sum in zip(runs(*ctx.lengths), sums, strict=True):
            q, out, grad_out = map(run.joined, (query, attended, gradients[0]))
            k, v = run.of_keys(key), run.of_keys(value)
            d_q, d_k, d_v = _backward(grad_out, q, k, v, out, log_sum, 0.0, False)  # noqa: FBT003
            run.put_back(d_q, grad_query)
            run.of_keys(grad_key).copy_(d_k)
            run.of_keys(grad_value).copy_(d_v)
        return grad_query, grad_key, grad_value, None, None


def cpu_attention(
    query: Queries,
    key: Keys,
    value: Keys,
    num_queries: list[list[int]],
    num_keys: list[int],
) -> Queries:
    """Attend cell by cell without dropout.

    Args:
        query: Packed queries, segment after segment.
        key: Packed keys.
        value: Packed values.
        num_queries: Queries of each cell, by query segment.
        num_keys: Keys of each cell.
    """
    attended: Tensor = _CpuAttention.apply(  # type: ignore[no-untyped-call] # torch's
        query, key, value, num_queries, num_keys
    )
    return attended
