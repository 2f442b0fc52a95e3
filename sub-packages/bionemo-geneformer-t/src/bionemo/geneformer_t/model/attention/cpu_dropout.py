"""Attention with dropout on the CPU, a block of queries at a time; no probability is kept.

PyTorch's fused CPU kernel takes no dropout and falls back to one that stores every probability and
its mask. Here a block of queries fits the cache with its probabilities, draws and mask, in buffers
that serve every block; the backward pass computes them again from the queries, the keys and a
seed. The mask comes from 64-bit words, four probabilities each, instead of one float per
probability (`benchmarks/train_step.py` measures it), and a word is two draws combined (`_words`).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bionemo.geneformer_t.model.attention.cell_offsets import Keys, Queries

_LEVELS = 1 << 16
"""Sixteen bits decide each probability, so the rate is right to 1/65,536."""
_BLOCK = 1 << 20
"""Probabilities of a block: four megabytes in float32, which a last-level cache holds. Draws follow
the blocks, so the number of threads has no say in it."""
_FEWEST_QUERIES = 16
"""Slimmer matrix products would be slow."""
_ROW = 1 << 10
"""Words of a mask that come from neighbouring draws."""
_SHIFTS = 16, 48
"""Draws from one row of words to the next, in each of the two sequences."""


class _DroppedAttention(torch.autograd.Function):
    """`softmax(q k^T / sqrt(d))`, dropped out, times v, for each group of packed tokens."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Queries,
        key: Keys,
        value: Keys,
        lengths: list[tuple[int, int]],
        dropout_prob: float,
        seed: int,
    ) -> Queries:
        """Attend block by block; `lengths` holds the queries and keys of each group."""
        ctx.lengths, ctx.dropout_prob, ctx.seed = lengths, dropout_prob, seed
        generator = torch.Generator().manual_seed(seed)
        attended = torch.empty_like(query)
        q, k, v, out = _by_head(query * query.shape[-1] ** -0.5, key, value, attended)
        for block in _blocks(lengths, heads=len(q)):
            probs = block.probabilities(q, k)
            probs *= block.mask(probs, dropout_prob, generator)
            torch.bmm(probs, v[:, block.keys], out=out[:, block.queries])
        out /= 1 - dropout_prob
        ctx.save_for_backward(query, key, value, attended)
        return attended

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute probabilities and masks again, then the gradients of q, k and v.

        With P the probabilities, M the mask and O the output, the gradient of the scores is
        `P * (M * dO v^T - rowsum(dO * O))`, as in Dao et al. 2022, algorithm 4.
        """
        query, key, value, attended = ctx.saved_tensors
        generator = torch.Generator().manual_seed(ctx.seed)
        scale = query.shape[-1] ** -0.5
        found = [torch.zeros_like(tensor) for tensor in (query, key, value)]
        pulls = (gradients[0] * attended).sum(-1, keepdim=True)
        q, k, v, pull, d_out, d_q, d_k, d_v = _by_head(
            query * scale, key, value, pulls, gradients[0] / (1 - ctx.dropout_prob), *found
        )
        for block in _blocks(ctx.lengths, heads=len(q)):
            queries, keys = block.queries, block.keys
            probs = block.probabilities(q, k)
            mask = block.mask(probs, ctx.dropout_prob, generator)
            slopes = torch.bmm(d_out[:, queries], v[:, keys].mT, out=block.scratch(probs))
            slopes.mul_(mask).sub_(pull[:, queries]).mul_(probs)
            d_v[:, keys].baddbmm_(probs.mul_(mask).mT, d_out[:, queries])
            d_k[:, keys].baddbmm_(slopes.mT, q[:, queries])
            torch.bmm(slopes, k[:, keys], out=d_q[:, queries])
        d_q *= scale
        return *found, None, None, None


def dropped_attention(
    query: Queries,
    key: Keys,
    value: Keys,
    lengths: list[tuple[int, int]],
    dropout_prob: float,
    seed: int,
) -> Queries:
    """Attend group by group with dropout; 16-bit inputs are computed in float32.

    Args:
        query: Packed queries.
        key: Packed keys.
        value: Packed values.
        lengths: Queries and keys of each group.
        dropout_prob: Share of the probabilities that are dropped, below 1.
        seed: The same seed drops the same probabilities.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    attended: Tensor = _DroppedAttention.apply(  # type: ignore[no-untyped-call] # torch's
        query.to(wide), key.to(wide), value.to(wide), lengths, dropout_prob, seed
    )
    return attended.to(query.dtype)


def _by_head(*packed: Float[Tensor, "_ head _"]) -> list[Float[Tensor, "head _ _"]]:
    """Views `[head, token, dim]`, for one product per head."""
    return [tensor.transpose(0, 1) for tensor in packed]


class _Buffers:
    """Memory that every block of one pass uses again."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A contiguous tensor of the shape, whose content is whatever was there."""
        number = torch.Size(shape).numel()
        kept = self._kept.get(name)
        if kept is None or len(kept) < number:
            kept = self._kept[name] = torch.empty(number, dtype=dtype)
        return kept[:number].view(shape)


class _Block(NamedTuple):
    """Some queries of a group, all keys of the group, and the buffers."""

    queries: slice
    keys: slice
    buffers: _Buffers

    def probabilities(
        self, scaled: Float[Tensor, "head all_queries dim"], key: Float[Tensor, "head all_keys dim"]
    ) -> Float[Tensor, "head query key"]:
        q, k = scaled[:, self.queries], key[:, self.keys]
        shape = (*q.shape[:2], k.shape[1])
        scores = torch.bmm(q, k.mT, out=self.buffers.take("probs", shape, q.dtype))
        return torch.softmax(scores, -1, out=scores)

    def scratch(self, like: Float[Tensor, "head query key"]) -> Float[Tensor, "head query key"]:
        return self.buffers.take("scratch", tuple(like.shape), like.dtype)

    def mask(
        self,
        probs: Float[Tensor, "head query key"],
        dropout_prob: float,
        generator: torch.Generator,
    ) -> Float[Tensor, "head query key"]:
        """1 for the probabilities that stay; the same for the same state of the generator."""
        number = probs.numel()
        draws = _words(-(-number // 4), self.buffers, generator)
        last_kept = round((1 - dropout_prob) * _LEVELS) - _LEVELS // 2 - 1
        mask = self.buffers.take("mask", tuple(probs.shape), probs.dtype)
        # written as floats at once: to make booleans and multiply by them takes six times as long
        return torch.le(draws.view(torch.int16)[:number].view_as(mask), last_kept, out=mask)


def _words(number: int, buffers: _Buffers, generator: torch.Generator) -> Int[Tensor, " word"]:
    """Random 64-bit words from a fourteenth as many draws, for drawing is slow and serial.

    Word `t` of row `r` is draw `16 r + t` of one sequence XOR draw `48 r + t` of another. No two
    words share both, so any two are independent, and each is uniform.
    """
    rows = -(-number // _ROW)
    shifted = []
    for shift in _SHIFTS:
        drawn = buffers.take(f"draws {shift}", ((rows - 1) * shift + _ROW,), torch.int64)
        drawn.random_(-(2**63), None, generator=generator)
        shifted.append(drawn.as_strided((rows, _ROW), (shift, 1)))
    words = buffers.take("words", (rows, _ROW), torch.int64)
    return torch.bitwise_xor(*shifted, out=words).flatten()[:number]


def _blocks(lengths: list[tuple[int, int]], heads: int) -> Iterator[_Block]:
    """Blocks of each group, together all its queries; groups without queries have none."""
    buffers = _Buffers()
    query_start = key_start = 0
    for num_queries, num_keys in lengths:
        query_stop, key_stop = query_start + num_queries, key_start + num_keys
        step = max(_FEWEST_QUERIES, _BLOCK // max(1, heads * num_keys))
        for start in range(query_start, query_stop, step):
            queries = slice(start, min(start + step, query_stop))
            yield _Block(queries, slice(key_start, key_stop), buffers)
        query_start, key_start = query_stop, key_stop
