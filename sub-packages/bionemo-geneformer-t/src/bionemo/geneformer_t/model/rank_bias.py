"""A bias of the vocabulary head that depends on the rank: the frequency of each gene there.

Most of what can be predicted at rank r of a cell are the gene frequencies at rank r of all cells,
and a network with random weights spends its first steps on them. Here it is a table of its own, a
logit for each gene at a few ranks (knots), with straight lines between them: smooth over ranks, as
the frequencies are. It joins the head as further columns of the vocabulary matrix, so that the loss
stays one matrix product.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

LAST_KNOT = 1022
"""The rank that a default `seq_length` ends at; higher ranks have its logits."""


class RankBias(nn.Module):
    """Logits of every token at the knots, and between them.

    The logits are those of `start`, which is not trained, plus `change`, which is: weight decay
    then draws towards the frequencies that the training began with.

    Args:
        vocab_size: Tokens.
        num_knots: Ranks with logits of their own; at least 2.
    """

    knots: Int[Tensor, " knot"]
    start: Float[Tensor, "vocab knot"]

    def __init__(self, vocab_size: int, num_knots: int) -> None:
        super().__init__()
        self.register_buffer("knots", knots(num_knots), persistent=False)
        self.register_buffer("start", torch.zeros(vocab_size, len(self.knots)))
        self.change = nn.Parameter(torch.zeros(vocab_size, len(self.knots)))

    @property
    def logits(self) -> Float[Tensor, "vocab knot"]:
        """The logits of every token at every knot."""
        return self.start + self.change

    def shares(self, ranks: Int[Tensor, " scored"]) -> Float[Tensor, "scored knot"]:
        """How much each knot counts at some ranks, from 1; each row sums to 1."""
        return hats(ranks, self.knots)

    def forward(self, ranks: Int[Tensor, " scored"]) -> Float[Tensor, "scored vocab"]:
        """The bias at some ranks."""
        logits = self.logits
        return self.shares(ranks).to(logits.dtype) @ logits.T


def knots(num_knots: int) -> Int[Tensor, " knot"]:
    """Ranks from 1 to `LAST_KNOT`, denser at the top, where frequencies change fastest."""
    places = (i / (num_knots - 1) for i in range(num_knots))
    # in Python, for on the device `meta`, where sizes are read, PyTorch cannot drop repeated ranks
    return torch.tensor(sorted({round(1 + place**2 * (LAST_KNOT - 1)) for place in places}))


def hats(ranks: Int[Tensor, " scored"], at: Int[Tensor, " knot"]) -> Float[Tensor, "scored knot"]:
    """Linear interpolation between knots, as weights; beyond the last knot it stays there."""
    ranks = ranks.clamp(int(at[0]), int(at[-1]))
    above = torch.searchsorted(at, ranks).clamp(min=1)
    low, high = at[above - 1], at[above]
    share = (ranks - low).float() / (high - low).float()
    found = torch.zeros(len(ranks), len(at), device=ranks.device)
    found.scatter_(1, (above - 1)[:, None], (1 - share)[:, None])
    return found.scatter_(1, above[:, None], share[:, None])
