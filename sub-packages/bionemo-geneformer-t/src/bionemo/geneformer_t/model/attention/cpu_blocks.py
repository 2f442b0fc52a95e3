"""Attention on the CPU, a block of queries at a time; no probability is kept.

PyTorch's fused CPU kernel takes no dropout and falls back to one that stores every probability and
its mask; in bfloat16 it is slower than two matrix products of its own library. Here a block of
queries fits the cache with its probabilities and their mask, in buffers that serve every block; the
backward pass computes them again from the queries, the keys and a seed. Matrix products are in the
precision of the inputs; softmax, and the sums over blocks, are in float32 or wider.

In 16 bits, products go to oneDNN, which compiles a kernel for each new shape. That takes longer
than the product itself, and cells have hundreds of lengths: so queries and keys are padded to
multiples of a number, and few shapes serve all.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from bionemo.geneformer_t.model.attention.cell_offsets import Keys, Queries
from bionemo.geneformer_t.model.attention.cpu_runs import runs
from bionemo.geneformer_t.model.dropout_masks import Buffers, Masks, drop_

_BLOCK = 1 << 20
"""Probabilities of a block: four megabytes in float32, which a last-level cache holds. Draws follow
the blocks, so the number of threads has no say in it."""
_FEWEST_QUERIES = 16
"""Slimmer matrix products would be slow."""
_MULTIPLE, _PADDED = 64, (torch.bfloat16, torch.float16)
"""Of queries and of keys, in products of these numbers."""

BlockQueries = Float[Tensor, "cell_and_head query dim"]
BlockKeys = Float[Tensor, "cell_and_head key dim"]
_slopes_of_softmax = torch.ops.aten._softmax_backward_data.out


class _BlockAttention(torch.autograd.Function):
    """`softmax(q k^T / sqrt(d))`, dropped out, times v, for each run of packed cells."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Queries,
        key: Keys,
        value: Keys,
        num_queries: list[list[int]],
        num_keys: list[int],
        dropout_prob: float,
        seed: int,
    ) -> Queries:
        """Attend block by block."""
        ctx.lengths, ctx.dropout_prob, ctx.seed = (num_queries, num_keys), dropout_prob, seed
        ctx.save_for_backward(query, key, value)
        buffers = Buffers()
        masks = Masks(dropout_prob, seed, buffers)
        attended = torch.empty_like(query)
        with torch.autocast("cpu", enabled=False):
            for run in runs(num_queries, num_keys):
                joined, keys = run.joined(query), run.of_keys(key)
                q, k, v = map(_by_head, (joined, keys, run.of_keys(value)))
                q *= q.shape[-1] ** -0.5
                out = torch.empty_like(q)
                for block in _blocks(q, k):
                    probs = _probabilities(q[:, block], k, keys.shape[2], buffers)
                    torch.bmm(drop_(probs, masks.draw(probs)), v, out=out[:, block])
                out /= 1 - dropout_prob
                run.put_back(_by_cell(out, joined), attended)
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute probabilities and masks again, then the gradients of q, k and v."""
        query, key, value = ctx.saved_tensors
        buffers = Buffers()
        masks = Masks(ctx.dropout_prob, ctx.seed, buffers)
        grad_query, grad_key, grad_value = map(torch.zeros_like, (query, key, value))
        for run in runs(*ctx.lengths):
            joined, keys = run.joined(query), run.of_keys(key)
            q, k, v = map(_by_head, (joined, keys, run.of_keys(value)))
            d_out = _by_head(run.joined(gradients[0]))
            scale = q.shape[-1] ** -0.5
            q *= scale
            d_out /= 1 - ctx.dropout_prob
            wide = torch.promote_types(q.dtype, torch.float32)
            d_q = torch.empty_like(q)
            d_k, d_v = (torch.zeros_like(tensor, dtype=wide) for tensor in (k, v))
            for block in _blocks(q, k):
                probs = _probabilities(q[:, block], k, keys.shape[2], buffers)
                mask = masks.draw(probs)
                slopes = buffers.take("slopes", tuple(probs.shape), probs.dtype)
                drop_(torch.bmm(d_out[:, block], v.mT, out=slopes), mask)
                _slopes_of_softmax(slopes, probs, -1, probs.dtype, grad_input=slopes)
                _add_product(d_v, drop_(probs, mask).mT, d_out[:, block])
                _add_product(d_k, slopes.mT, q[:, block])
                torch.bmm(slopes, k, out=d_q[:, block])
            run.put_back(_by_cell(d_q.mul_(scale), joined), grad_query)
            run.of_keys(grad_key).copy_(_by_cell(d_k, keys))
            run.of_keys(grad_value).copy_(_by_cell(d_v, keys))
        return grad_query, grad_key, grad_value, *4 * [None]


def block_attention(
    query: Queries,
    key: Keys,
    value: Keys,
    num_queries: list[list[int]],
    num_keys: list[int],
    dropout_prob: float = 0.0,
    seed: int = 0,
) -> Queries:
    """Attend cell by cell, in blocks of queries.

    Args:
        query: Packed queries, segment after segment.
        key: Packed keys.
        value: Packed values.
        num_queries: Queries of each cell, by query segment.
        num_keys: Keys of each cell.
        dropout_prob: Share of the probabilities that are dropped, below 1.
        seed: The same seed drops the same probabilities.
    """
    attended: Tensor = _BlockAttention.apply(  # type: ignore[no-untyped-call] # torch's
        query, key, value, num_queries, num_keys, dropout_prob, seed
    )
    return attended


def _by_head(
    cells: Float[Tensor, "cell head token dim"],
) -> Float[Tensor, "cell_and_head padded dim"]:
    """A contiguous copy: products of other layouts take up to twice as long in bfloat16.

    In 16 bits, it is padded with zeros.
    """
    tokens = cells.shape[2]
    padded = -(-tokens // _MULTIPLE) * _MULTIPLE if cells.dtype in _PADDED else tokens
    copy = cells.new_empty(*cells.shape[:2], padded, cells.shape[3])
    copy[:, :, :tokens] = cells
    copy[:, :, tokens:] = 0
    return copy.flatten(0, 1)


def _by_cell(
    heads: Float[Tensor, "cell_and_head padded dim"], like: Float[Tensor, "cell head token dim"]
) -> Float[Tensor, "cell head token dim"]:
    """The way back from `_by_head`, without what was padded."""
    return heads.unflatten(0, like.shape[:2])[:, :, : like.shape[2]]


def _blocks(q: BlockQueries, k: BlockKeys) -> Iterator[slice]:
    """Slices of queries, together all of them."""
    step = max(_FEWEST_QUERIES, _BLOCK // max(1, len(k) * k.shape[1]))
    for start in range(0, q.shape[1], step):
        yield slice(start, min(start + step, q.shape[1]))


def _probabilities(
    q: BlockQueries, k: BlockKeys, num_keys: int, buffers: Buffers
) -> Float[Tensor, "cell_and_head query key"]:
    """Those of the keys, and 0 for what is padded."""
    scores = buffers.take("probabilities", (*q.shape[:2], k.shape[1]), q.dtype)
    torch.bmm(q, k.mT, out=scores)
    scores[:, :, num_keys:] = -torch.inf
    return torch.softmax(scores, -1, out=scores)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add products to a total, in its precision."""
    if total.dtype == left.dtype:
        total.baddbmm_(left, right)
    else:
        total += torch.bmm(left, right)
