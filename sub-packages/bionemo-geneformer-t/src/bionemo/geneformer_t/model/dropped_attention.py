"""Attention with dropout on the CPU that keeps no probabilities.

PyTorch's fused CPU kernel takes no dropout and falls back to one that stores every probability and
its mask. Here the backward pass computes both again, from the queries, the keys and a seed, so that
memory stays that of one cell; and the mask comes from raw 64-bit draws, four probabilities each,
instead of one float per probability (`benchmarks/train_step.py --dropout` measures it).
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_IS_QUERY = {
    4: (True, False, False, True),  # query, key, value, output
    7: (True, False, False, True, True, False, False),  # and their gradients
}
_LEVELS = 1 << 16
"""Sixteen bits decide each probability, so the rate is right to 1/65,536."""


class _DroppedAttention(torch.autograd.Function):
    """`softmax(q k^T / sqrt(d))`, dropped out, times v, for each group of packed tokens."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "query head dim"],
        key: Float[Tensor, "key head dim"],
        value: Float[Tensor, "key head dim"],
        lengths: list[tuple[int, int]],
        dropout_prob: float,
        seed: int,
    ) -> Float[Tensor, "query head dim"]:
        """Attend group by group; `lengths` holds the queries and keys of each."""
        ctx.save_for_backward(query, key, value)
        ctx.lengths, ctx.dropout_prob, ctx.seed = lengths, dropout_prob, seed
        attended = torch.empty_like(query)
        generator = torch.Generator().manual_seed(seed)
        for q, k, v, out in _groups(lengths, query, key, value, attended):
            probs = _probabilities(q, k)
            probs *= _keep(probs, dropout_prob, generator)
            out.copy_(probs.to(v.dtype) @ v)
        return attended.div_(1 - dropout_prob)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute probabilities and masks again, then the gradients of q, k and v."""
        query, key, value = ctx.saved_tensors
        grad_query, grad_key, grad_value = map(torch.empty_like, (query, key, value))
        grad_out = gradients[0] / (1 - ctx.dropout_prob)
        generator = torch.Generator().manual_seed(ctx.seed)
        scale = query.shape[-1] ** -0.5
        tensors = (query, key, value, grad_out, grad_query, grad_key, grad_value)
        for q, k, v, d_out, d_q, d_k, d_v in _groups(ctx.lengths, *tensors):
            probs = _probabilities(q, k)
            keep = _keep(probs, ctx.dropout_prob, generator)
            d_v.copy_((probs * keep).to(v.dtype).mT @ d_out)
            d_probs = (d_out @ v.mT).to(probs.dtype).mul_(keep)
            d_scores = torch.ops.aten._softmax_backward_data(d_probs, probs, -1, probs.dtype)
            d_scores = d_scores.mul_(scale).to(q.dtype)
            d_q.copy_(d_scores @ k)
            d_k.copy_(d_scores.mT @ q)
        return grad_query, grad_key, grad_value, None, None, None


def dropped_attention(
    query: Float[Tensor, "query head dim"],
    key: Float[Tensor, "key head dim"],
    value: Float[Tensor, "key head dim"],
    lengths: list[tuple[int, int]],
    dropout_prob: float,
    seed: int,
) -> Float[Tensor, "query head dim"]:
    """Attend group by group with dropout.

    Args:
        query: Packed queries.
        key: Packed keys.
        value: Packed values.
        lengths: Queries and keys of each group.
        dropout_prob: Share of the probabilities that are dropped, below 1.
        seed: The same seed drops the same probabilities.
    """
    attended: Tensor = _DroppedAttention.apply(  # type: ignore[no-untyped-call] # torch's
        query, key, value, lengths, dropout_prob, seed
    )
    return attended


def _groups(lengths: list[tuple[int, int]], *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Views `[head, token, dim]` of each group, cut by queries or by keys as `_IS_QUERY` says."""
    is_query = _IS_QUERY[len(tensors)]
    query_start = key_start = 0
    for num_queries, num_keys in lengths:
        queries = slice(query_start, query_start + num_queries)
        keys = slice(key_start, key_start + num_keys)
        query_start, key_start = queries.stop, keys.stop
        yield tuple(
            tensor[queries if of_query else keys].transpose(0, 1)
            for tensor, of_query in zip(tensors, is_query, strict=True)
        )


def _probabilities(
    q: Float[Tensor, "head query dim"], k: Float[Tensor, "head key dim"]
) -> Float[Tensor, "head query key"]:
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    return scores.float().softmax(-1) if scores.dtype != torch.float64 else scores.softmax(-1)


def _keep(
    probs: Float[Tensor, "head query key"], dropout_prob: float, generator: torch.Generator
) -> Bool[Tensor, "head query key"]:
    """Which probabilities stay; the same for the same state of the generator."""
    number = probs.numel()
    draws = torch.empty(-(-number // 4), dtype=torch.int64)
    draws.random_(-(2**63), None, generator=generator)
    last_kept = round((1 - dropout_prob) * _LEVELS) - _LEVELS // 2 - 1
    return (draws.view(torch.int16)[:number] <= last_kept).view_as(probs)
