"""Attention on the CPU: PyTorch's fused kernel, one call for all queries of a cell.

The kernel takes queries in blocks, larger ones if there are more queries, and is slow for few of
them: so the scored positions of a cell and its own tokens are queries of one call. Neighbouring
cells of equal sizes share a call as well, because together they are already a batch; cells that
were truncated to the same length often do. What autograd would keep of splitting and joining (a
second copy of the result, and of each gradient) is not kept.
"""

from typing import Any

import torch
from torch import Tensor

from bionemo.geneformer_t.model.attention.cell_offsets import Keys, Queries
from bionemo.geneformer_t.model.attention.cpu_runs import runs

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


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
