"""Masks of dropout from random words: sixteen bits decide each number, and few draws are made.

PyTorch draws one float for each number that may be dropped, on one thread; for a layer's output
that takes longer than its matrix product in bfloat16 on a modern CPU. Here 64-bit words decide four
numbers each, and a word is two draws combined, so that a fourteenth as many are made.
"""

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

_LEVELS = 1 << 16
"""Sixteen bits decide each number, so the rate is right to 1/65,536."""
_ROW = 1 << 10
"""Words of a mask that come from neighbouring draws."""
_SHIFTS = 16, 48
"""Draws from one row of words to the next, in each of the two sequences."""


def draw_seed() -> int:
    """The seed of one pass, from PyTorch's global generator."""
    return int(torch.randint(2**62, ()))


class Buffers:
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


class Masks:
    """The masks of one pass, one after the other; the same seed gives the same.

    Args:
        dropout_prob: Share of the numbers that are dropped, in [0, 1).
        seed: Of the draws.
        buffers: Where each mask is made; it holds until the next one.
    """

    def __init__(self, dropout_prob: float, seed: int, buffers: Buffers) -> None:
        self._kept_levels = round((1 - dropout_prob) * _LEVELS)
        self._generator = torch.Generator().manual_seed(seed)
        self._buffers = buffers

    def draw(self, like: Tensor) -> Tensor | None:
        """What `drop_` needs to drop numbers of a tensor like this; None where none is dropped."""
        if self._kept_levels == _LEVELS:
            return None
        number, is_short = like.numel(), like.dtype.itemsize == 2
        dtype = torch.int16 if is_short else like.dtype
        mask = self._buffers.take("mask", tuple(like.shape), dtype)
        if not self._kept_levels:
            return mask.zero_()
        words = random_words(-(-number // 4), self._buffers, self._generator)
        lanes = words.view(torch.int16)[:number].view_as(like)
        # written as numbers at once: to make booleans and multiply by them takes six times as long
        torch.le(lanes, self._kept_levels - _LEVELS // 2 - 1, out=mask)
        return mask.neg_() if is_short else mask  # all bits of 16 set, or none


def drop_(tensor: Shaped[Tensor, "..."], mask: Shaped[Tensor, "..."] | None) -> Tensor:
    """Set what the mask drops to zero, in place; the others keep their value."""
    if mask is None:
        return tensor
    if mask.dtype == torch.int16:
        tensor.view(torch.int16).bitwise_and_(mask)
        return tensor
    return tensor.mul_(mask)


def random_words(number: int, buffers: Buffers, generator: torch.Generator) -> Int[Tensor, " word"]:
    """Random 64-bit words from a fourteenth as many draws, for drawing is slow and serial.

    Word `t` of row `r` is draw `16 r + t` of one sequence XOR draw `48 r + t` of another. No two
    words share both, so any two are independent, any three too, and each is uniform. Four are not
    where they share their draws in pairs.
    """
    rows = -(-number // _ROW)
    shifted = []
    for shift in _SHIFTS:
        drawn = buffers.take(f"draws {shift}", ((rows - 1) * shift + _ROW,), torch.int64)
        drawn.random_(-(2**63), None, generator=generator)
        shifted.append(drawn.as_strided((rows, _ROW), (shift, 1)))
    words = buffers.take("words", (rows, _ROW), torch.int64)
    return torch.bitwise_xor(*shifted, out=words).flatten()[:number]
