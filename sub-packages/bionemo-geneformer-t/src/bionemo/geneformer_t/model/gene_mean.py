"""The hidden states of a cell's genes as one vector: where a network finds the cell to lie."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def mean_of_genes(
    hidden: Float[Tensor, "token hidden"],
    offsets: Int[Tensor, " cells_plus_1"],
    is_gene: Bool[Tensor, " token"],
) -> Float[Tensor, "cell hidden"]:
    """The mean over the genes of each cell, 0 where there is none; special tokens do not enter.

    Args:
        hidden: Of packed tokens.
        offsets: Where each cell begins, and where the last ends.
        is_gene: Which of the tokens are genes.
    """
    cell_of_token = _cell_of_token(offsets)[is_gene]
    shape = (len(offsets) - 1, hidden.shape[1])
    sums = hidden.new_zeros(shape).index_add_(0, cell_of_token, hidden[is_gene])
    number = torch.bincount(cell_of_token, minlength=shape[0])
    return sums / number.clamp(min=1)[:, None]


def _cell_of_token(offsets: Int[Tensor, " cells_plus_1"]) -> Int[Tensor, " token"]:
    cells = torch.arange(len(offsets) - 1, device=offsets.device)
    return cells.repeat_interleave(offsets.diff())
