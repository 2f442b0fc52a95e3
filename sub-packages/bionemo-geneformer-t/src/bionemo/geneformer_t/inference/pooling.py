"""From the hidden states of a cell's tokens to one vector for the cell, and to one for each gene.

Everything works on packed tokens: cell i owns the tokens from `offsets[i]` to `offsets[i + 1]`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bionemo.geneformer_t.model.knn_memory import mean_of_genes


def first_token(
    hidden: Float[Tensor, "token hidden"],
    offsets: Int[Tensor, " cells_plus_1"],
    is_gene: Bool[Tensor, " token"],
) -> Float[Tensor, "cell hidden"]:
    """The first token of each cell, which is `[CLS]`."""
    return hidden[offsets[:-1]]


POOLINGS: dict[
    str,
    Callable[
        [
            Float[Tensor, "token hidden"],
            Int[Tensor, " cells_plus_1"],
            Bool[Tensor, " token"],
        ],
        Float[Tensor, "cell hidden"],
    ],
] = {"mean": mean_of_genes, "cls": first_token}
"""Name -> function of packed hidden states."""


@dataclass
class GeneSums:
    """Sums of hidden states over all occurrences of each token, in double precision."""

    sums: Float[Tensor, "vocab hidden"]
    number: Int[Tensor, " vocab"]

    @classmethod
    def zeros(cls, vocab_size: int, width: int, device: torch.device) -> "GeneSums":
        """Before any cell."""
        return cls(
            sums=torch.zeros(vocab_size, width, dtype=torch.float64, device=device),
            number=torch.zeros(vocab_size, dtype=torch.int64, device=device),
        )

    def add(self, ids: Int[Tensor, " token"], hidden: Float[Tensor, "token hidden"]) -> None:
        """Count in the tokens of a batch."""
        self.sums.index_add_(0, ids, hidden.double())
        self.number += torch.bincount(ids, minlength=len(self.number))

    def means(self) -> Float[Tensor, "vocab hidden"]:
        """The mean of each token; NaN for those that no cell expressed."""
        return self.sums / self.number[:, None]
