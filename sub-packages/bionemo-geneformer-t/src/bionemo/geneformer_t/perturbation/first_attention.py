"""What the first layer's attention finds when one of its keys is deleted, for all keys at once.

When a gene is deleted, the genes behind it move up by one position. So each token has two forms,
as it is and moved up, and a query attends to the first form of the keys before the deleted one and
to the second form of those behind it:

    attended(u) = (sum_{k<u} e^{q·k_k} v_k + sum_{k>u} e^{q·k'_k} v'_k) / (the same without v).

Numerators and denominators are cumulative sums over keys, from the front and from the back. What is
asked for is the scalar product of the change with a given gradient, so that numerators are sums of
scalars: all deletions cost a few times as much as attention itself. Nothing is approximated.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Keys(NamedTuple):
    """Keys and values of one cell, every token in both of its forms."""

    before: Float[Tensor, "head key dim"]
    after: Float[Tensor, "head key dim"]
    """Moved up."""
    values_before: Float[Tensor, "head key dim"]
    values_after: Float[Tensor, "head key dim"]
    is_there: Bool[Tensor, " key"]
    """Whether the cell as it is has the token: not the gene that moves in."""


def attended_before(
    query: Float[Tensor, "head query dim"], keys: Keys
) -> Float[Tensor, "head query dim"]:
    """What queries attend to in the cell as it is."""
    scores = query @ keys.before.mT * query.shape[-1] ** -0.5
    return scores.masked_fill(~keys.is_there, -torch.inf).softmax(-1) @ keys.values_before


def deletion_changes(
    query: Float[Tensor, "head query dim"],
    attended: Float[Tensor, "head query dim"],
    gradients: Float[Tensor, "readout head query dim"],
    keys: Keys,
    num_genes: int,
    counts: Bool[Tensor, "query gene"] | None = None,
) -> Float[Tensor, "readout gene"]:
    """Change of what queries attend to, times gradients, summed over queries and heads.

    Args:
        query: Of one cell, as they are in the edited cell.
        attended: What the same queries attend to in the cell as it is.
        gradients: Of the readouts with respect to `attended`.
        keys: Token 0 is `[CLS]`, the genes follow, and at least one token comes after them.
        num_genes: Genes that are deleted, one at a time.
        counts: For which deletions each query counts; all by default.
    """
    scale = query.shape[-1] ** -0.5
    absent = ~keys.is_there
    before = (query @ keys.before.mT * scale).masked_fill(absent, -torch.inf)
    after = query @ keys.after.mT * scale
    highest = torch.maximum(before.amax(-1, keepdim=True), after.amax(-1, keepdim=True))
    before, after = (before - highest).exp_(), (after - highest).exp_()
    least = torch.finfo(query.dtype).tiny  # a key that outweighs all others by e^80
    denominator = _without_each(before, after, num_genes).clamp_(min=least)
    if counts is not None:
        denominator = denominator.masked_fill_(~counts, torch.inf)
    changes = []
    for gradient in gradients:
        now = (gradient * attended).sum(-1, keepdim=True)
        numerator = _without_each(
            (gradient @ keys.values_before.mT).sub_(now).mul_(before),
            (gradient @ keys.values_after.mT).sub_(now).mul_(after),
            num_genes,
        )
        changes.append(numerator.div_(denominator).sum(dim=(0, 1)))
    return torch.stack(changes)


def _without_each(
    before: Float[Tensor, "head query key"], after: Float[Tensor, "head query key"], num_genes: int
) -> Float[Tensor, "head query gene"]:
    """For gene u, token u + 1: the sum of `before` in front of it and of `after` behind it."""
    ahead = before[..., :num_genes].cumsum(-1)
    behind = after[..., 2:].flip(-1).cumsum(-1).flip(-1)
    return ahead.add_(behind[..., :num_genes])
