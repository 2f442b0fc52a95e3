"""The vocabulary head's loss in chunks: cross-entropy from hidden states, never all logits at once.

A logit for every gene at every scored position is the largest array of a step. Here a chunk of
positions at a time becomes logits, losses and, because the loss is a sum whose outer gradient is
one number, also gradients of what made them; then it makes room for the next chunk. The loss and
the gradients are those of `F.cross_entropy` up to rounding. Softmax and sums are in float32 (or
float64), whatever the matrix products are in.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from bionemo.geneformer_t.config import MatmulBackend
from bionemo.geneformer_t.model.precision import compute_dtype
from bionemo.geneformer_t.model.products import in_onednn, product, weight_gradient_in_onednn

CHUNK_BYTES = {"cpu": 32 << 20, "cuda": 256 << 20}
"""How much the logits of a chunk may take: on a CPU about the last cache, on a GPU what keeps it
busy."""
FEWEST_ROWS = 64
"""Fewer positions per chunk would make the matrix products slim and slow."""
MULTIPLE = 8
"""Matrix units that multiply 16-bit numbers are fast where sizes are multiples of it."""


def summed_cross_entropy(
    hidden: Float[Tensor, "scored hidden"],
    weight: Float[Tensor, "vocab hidden"],
    bias: Float[Tensor, " vocab"],
    labels: Int[Tensor, " scored"],
    rows: int | None = None,
    backend: MatmulBackend = "auto",
) -> Float[Tensor, ""]:
    """Cross-entropy in nats of `hidden @ weight.T + bias`, summed over positions.

    Args:
        hidden: What the head sees at each scored position.
        weight: The vocabulary's rows.
        bias: One number for each of the vocabulary.
        labels: The genes that are really there.
        rows: Positions per chunk; by default as many as `CHUNK_BYTES` allows.
        backend: The library of products in float32 on a CPU.

    With float16 the whole is computed at once, for gradients need the loss's scale before they are
    rounded.
    """
    dtype = compute_dtype(hidden)
    if dtype == torch.float16:
        return F.cross_entropy(F.linear(hidden, weight, bias).float(), labels, reduction="sum")
    rows = rows or rows_per_chunk(len(hidden), len(weight), hidden.device.type)
    summed: Tensor = _SummedCrossEntropy.apply(  # type: ignore[no-untyped-call] # torch's
        hidden,
        weight,
        bias,
        labels,
        rows,
        dtype,
        in_onednn(hidden, backend),
        torch.is_grad_enabled(),
    )
    return summed


def rows_per_chunk(scored: int, vocab: int, device_type: str) -> int:
    """Positions per chunk, such that the chunks are of about equal size."""
    limit = CHUNK_BYTES.get(device_type, CHUNK_BYTES["cuda"]) // (4 * vocab)
    chunks = -(-scored // max(limit, FEWEST_ROWS))
    return max(1, -(-scored // max(1, chunks)))


class _SummedCrossEntropy(torch.autograd.Function):
    """The forward pass computes the gradients too; the backward pass scales and returns them."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Float[Tensor, "scored hidden"],
        weight: Float[Tensor, "vocab hidden"],
        bias: Float[Tensor, " vocab"],
        labels: Int[Tensor, " scored"],
        rows: int,
        dtype: torch.dtype,
        by_onednn: bool,  # noqa: FBT001 # autograd passes by position
        with_gradients: bool,  # noqa: FBT001 # the same
    ) -> Float[Tensor, ""]:
        """Sum the loss chunk by chunk, and collect the gradients that are asked for."""
        with torch.autocast(hidden.device.type, enabled=False):
            grads = [
                torch.zeros_like(tensor) if needed and with_gradients else None
                for tensor, needed in zip(
                    (hidden, weight, bias), ctx.needs_input_grad, strict=False
                )
            ]
            ctx.gradients = grads
            head = _rounded_up(weight.to(dtype), bias.to(dtype))
            return _chunks(hidden.to(dtype), *head, labels, rows, *grads, by_onednn=by_onednn)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradients of the sum by that of what became of it."""
        found, ctx.gradients = ctx.gradients, None
        if found is None:
            raise RuntimeError(
                "the backward pass through this loss ran already; it keeps its gradients for one "
                "pass only, so compute the loss again for a second one"
            )
        scale = gradients[0]
        return *(None if grad is None else grad.mul_(scale) for grad in found), *5 * [None]


def _rounded_up(
    weight: Float[Tensor, "vocab hidden"], bias: Float[Tensor, " vocab"]
) -> tuple[Float[Tensor, "padded_vocab hidden"], Float[Tensor, " padded_vocab"]]:
    """With tokens of probability 0 at the end, to a multiple of `MULTIPLE`; for 16 bits only."""
    missing = -len(weight) % MULTIPLE if weight.dtype.itemsize == 2 else 0
    if not missing:
        return weight, bias
    return F.pad(weight, (0, 0, 0, missing)), F.pad(bias, (0, missing), value=-torch.inf)


def _chunks(
    hidden: Float[Tensor, "scored hidden"],
    weight: Float[Tensor, "padded_vocab hidden"],
    bias: Float[Tensor, " padded_vocab"],
    labels: Int[Tensor, " scored"],
    rows: int,
    grad_hidden: Float[Tensor, "scored hidden"] | None,
    grad_weight: Float[Tensor, "vocab hidden"] | None,
    grad_bias: Float[Tensor, " vocab"] | None,
    *,
    by_onednn: bool,
) -> Float[Tensor, ""]:
    """The summed loss; adds to the gradients that are there."""
    wide = torch.promote_types(hidden.dtype, torch.float32)
    summed = hidden.new_zeros((), dtype=wide)
    buffer = None if by_onednn else hidden.new_empty((min(rows, len(hidden)), len(weight)))
    for start in range(0, len(hidden), rows):
        part, label = hidden[start : start + rows], labels[start : start + rows, None]
        if buffer is None:
            logits = product(part, weight, bias)
        else:
            logits = torch.addmm(bias, part, weight.T, out=buffer[: len(part)]).to(wide)
        log_probs = torch.log_softmax(logits, -1, out=logits)
        summed -= log_probs.gather(1, label).sum()
        if grad_hidden is None and grad_weight is None and grad_bias is None:
            continue
        slope = log_probs.exp_().scatter_add_(1, label, -torch.ones_like(label, dtype=wide))
        if grad_bias is not None:
            grad_bias += slope.sum(0)[: len(grad_bias)]
        slope = slope.to(hidden.dtype)
        if grad_hidden is not None:
            found = product(slope, weight.T) if by_onednn else slope @ weight
            grad_hidden[start : start + rows] = found
        if grad_weight is None:
            continue
        if by_onednn and weight_gradient_in_onednn():
            grad_weight += product(slope.T, part.T)
        else:
            _add_product(grad_weight, slope.T, part)
    return summed


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add the first rows of `left @ right`, as many as `total` has, in its precision."""
    if total.dtype == left.dtype:
        total.addmm_(left[: len(total)], right)
    else:
        total += (left @ right)[: len(total)]
