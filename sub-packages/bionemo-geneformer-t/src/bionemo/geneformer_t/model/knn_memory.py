"""SuccessorMemory: the network's answer, mixed with what followed similar training cells.

A small network forgets most of what it saw; the training cells themselves do not. As nearest
neighbors in its own representation help a language model (Khandelwal et al. 2020), the successors
of training cells that the network finds similar help this one. A checkpoint carries the memory, so
that it travels with the weights it belongs to.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.model.gene_mean import mean_of_genes
from bionemo.geneformer_t.model.successor_index import Library, add_found
from bionemo.geneformer_t.setting_values import Settings


@dataclass(frozen=True, kw_only=True)
class Mixing(Settings):
    """How an answer is mixed; chosen on validation cells, which the memory does not hold."""

    number: int
    """Similar training cells that are looked at."""
    width: float
    """Standard deviation of the smoothing of their successors' genes, in ranks."""
    network: float
    """Weight of the network's distribution."""
    memory: float
    """Weight of the successors of similar cells."""
    uniform: float
    """Weight of all genes alike."""

    def __str__(self) -> str:
        return (
            f"{self.network:.0%} network, {self.memory:.0%} successors of the {self.number} most "
            f"similar training cells smoothed over {self.width:g} ranks, {self.uniform:.0%} uniform"
        )


@dataclass(frozen=True, kw_only=True)
class SuccessorMemory:
    """Training cells to look in, and how to mix what is found."""

    library: Library
    """Its points are those of `context_points`."""
    gene_ids: Int[ndarray, " gene"]
    """Tokens that are genes."""
    mixing: Mixing

    def mix(
        self,
        log_probs: Float[ndarray, "rank vocab"],
        point: Float[ndarray, " component"],
    ) -> Float[ndarray, "rank vocab"]:
        """Log-probabilities of the mixture at ranks 1, 2, ... of the next cell of one current cell.

        Args:
            log_probs: The network's.
            point: Where the current cell lies.
        """
        how = self.mixing
        places = self.library.nearest(point, how.number)
        genes, found = self.library.frequencies(places, len(log_probs), how.width)
        mixed: ndarray = np.float32(how.network) * np.exp(log_probs)
        mixed[:, self.gene_ids] += np.float32(how.uniform / len(self.gene_ids))
        add_found(mixed, genes, found, how.memory)
        with np.errstate(divide="ignore"):
            return np.log(mixed)

    def to_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for checkpoints."""
        return {
            "library": self.library.to_dict(),
            "gene_ids": torch.from_numpy(self.gene_ids),
            "mixing": asdict(self.mixing),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SuccessorMemory":
        """The inverse of `to_dict`."""
        return cls(
            library=Library.from_dict(values["library"]),
            gene_ids=values["gene_ids"].cpu().numpy(),
            mixing=Mixing(**values["mixing"]),
        )


def context_points(
    hidden: Float[Tensor, "context_token hidden"], offsets: Int[Tensor, " contexts_plus_1"]
) -> Float[Tensor, "context hidden"]:
    """Where current cells lie: the mean of their genes' last hidden states.

    Args:
        hidden: Of packed `[CLS] genes [SEP]`.
        offsets: Where each cell begins, and where the last ends.
    """
    is_gene = torch.ones(len(hidden), dtype=torch.bool, device=hidden.device)
    is_gene[offsets[:-1]] = False
    is_gene[offsets[1:] - 1] = False
    return mean_of_genes(hidden, offsets, is_gene)
