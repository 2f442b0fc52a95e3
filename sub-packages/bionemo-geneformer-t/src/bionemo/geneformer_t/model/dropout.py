"""Dropout of a layer's output: on a CPU from few random draws, and in place."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bionemo.geneformer_t.model.dropout_masks import Buffers, Masks, draw_seed, drop_

_BLOCK = 1 << 18
"""Numbers dropped at a time: they, their draws and their mask fit the cache of one core."""


class Dropout(nn.Dropout):
    """`nn.Dropout` that may change what it is given, which must be needed by nothing else."""

    def forward(self, tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Drop while training, and scale up what stays."""
        if not self.training or not self.p:
            return tensor
        if tensor.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(tensor, self.p)
        dropped: Tensor = _Dropped.apply(  # type: ignore[no-untyped-call] # torch's
            tensor.contiguous(), self.p, draw_seed()
        )
        return dropped


class _Dropped(torch.autograd.Function):
    """The mask is drawn again in the backward pass instead of being kept."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, dropout_prob: float, seed: int) -> Tensor:
        """Drop in place."""
        ctx.mark_dirty(tensor)
        ctx.dropout_prob, ctx.seed = dropout_prob, seed
        return _dropped(tensor, dropout_prob, seed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The same mask on the gradient."""
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        return _dropped(gradient, ctx.dropout_prob, ctx.seed), None, None


def _dropped(tensor: Tensor, dropout_prob: float, seed: int) -> Tensor:
    """Drop numbers of a contiguous tensor in place."""
    masks = Masks(dropout_prob, seed, Buffers())
    for block in tensor.view(-1).split(_BLOCK):
        drop_(block, masks.draw(block)).div_(1 - dropout_prob)
    return tensor
