"""KnnInterpolation: the network's distribution, interpolated with successors of similar cells.

Also known as kNN-LM (Khandelwal et al. 2020): a small network forgets most of its training cells,
so at prediction the successors of those training cells that are nearest in its own hidden states
are mixed in. Or it is found by the canonical axes of a model what cells are near: current cells
whose next cells are expected at the same place, or the training cells that are at that place. The
index is part of the checkpoint, beside the weights that it belongs to.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.model.entry_frequencies import entry_frequencies
from bionemo.geneformer_t.model.successor_index import SuccessorIndex, add_found
from bionemo.geneformer_t.setting_values import Settings

Space = Literal["hidden states", "canonical axes", "next cells"]
"""Where cells are near: by the mean hidden state of current cells, by where the next cells of
current cells are expected along canonical axes, or by where next cells themselves are along these.
"""
HIDDEN, CANONICAL, NEXT = get_args(Space)


@dataclass(frozen=True, kw_only=True)
class Mixing(Settings):
    """Weights of the mixture, chosen on validation cells, which are not in the index."""

    number: int
    """Nearest training cells that are used."""
    width: float
    """Standard deviation of the smoothing of their successors' genes, in ranks."""
    network: float
    """Weight of the network's distribution."""
    memory: float
    """Weight of the successors of similar cells."""
    uniform: float
    """Weight of the uniform distribution over genes."""
    space: Space = "hidden states"
    """Where training cells are searched."""

    def __str__(self) -> str:
        found = f"the {self.number} training cells nearest to where the next cell is expected"
        if self.space != NEXT:
            found = f"successors of the {self.number} most similar training cells ({self.space})"
        return (
            f"{self.network:.0%} network, {self.memory:.0%} {found} smoothed over {self.width:g} "
            f"ranks, {self.uniform:.0%} uniform"
        )


@dataclass(frozen=True, kw_only=True)
class KnnInterpolation:
    """An index of training cells, and the weights of the mixture."""

    index: SuccessorIndex
    """Training cells; their points are in the space of the mixing."""
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
            point: Of the current cell.
        """
        how = self.mixing
        rows = self.index.nearest(point, how.number)
        genes, found = self.index.frequencies(rows, len(log_probs), how.width)
        mixed: ndarray = np.float32(how.network) * np.exp(log_probs)
        mixed[:, self.gene_ids] += np.float32(how.uniform / len(self.gene_ids))
        add_found(mixed, genes, found, how.memory)
        with np.errstate(divide="ignore"):
            return np.log(mixed)

    def mix_at(
        self,
        log_probs: Float[ndarray, "entry context"],
        points: Float[ndarray, "context component"],
        ranks: Int[ndarray, " entry"],
        genes: Int[ndarray, " entry"],
    ) -> Float[ndarray, "entry context"]:
        """The same of some genes at some ranks alone, for many current cells.

        Args:
            log_probs: The network's.
            points: Of the current cells.
            ranks: From 0.
            genes: Tokens that are genes.
        """
        how = self.mixing
        places = [self.index.nearest(point, how.number) for point in points]
        found, is_reached = entry_frequencies(self.index, places, ranks, genes, how.width)
        mixed = np.exp(log_probs)
        mixed *= np.float32(how.network)
        mixed += np.float32(how.uniform / len(self.gene_ids))
        found *= np.float32(how.memory)
        if not is_reached.all():
            rest = np.full(1, 1 - how.memory, dtype=np.float32)
            with np.errstate(divide="ignore", invalid="ignore"):  # all may be memory
                np.divide(mixed, rest, out=mixed, where=~is_reached[ranks])
        mixed += found
        with np.errstate(divide="ignore"):
            return np.log(mixed, out=mixed)

    def to_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for checkpoints."""
        return {
            "library": self.index.to_dict(),
            "gene_ids": torch.from_numpy(self.gene_ids),
            "mixing": asdict(self.mixing),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "KnnInterpolation":
        """The inverse of `to_dict`."""
        return cls(
            index=SuccessorIndex.from_dict(values["library"]),
            gene_ids=values["gene_ids"].cpu().numpy(),
            mixing=Mixing(**values["mixing"]),
        )


def context_points(
    hidden: Float[Tensor, "context_token hidden"], offsets: Int[Tensor, " contexts_plus_1"]
) -> Float[Tensor, "context hidden"]:
    """The points of current cells: the mean of their genes' last hidden states.

    Args:
        hidden: Of packed `[CLS] genes [SEP]`.
        offsets: The bounds of each cell.
    """
    is_gene = torch.ones(len(hidden), dtype=torch.bool, device=hidden.device)
    is_gene[offsets[:-1]] = False
    is_gene[offsets[1:] - 1] = False
    return mean_of_genes(hidden, offsets, is_gene)


def mean_of_genes(
    hidden: Float[Tensor, "token hidden"],
    offsets: Int[Tensor, " cells_plus_1"],
    is_gene: Bool[Tensor, " token"],
) -> Float[Tensor, "cell hidden"]:
    """The mean hidden state over the genes of each cell, without special tokens; 0 without genes.

    Args:
        hidden: Of packed tokens.
        offsets: The bounds of each cell.
        is_gene: Which of the tokens are genes.
    """
    cells = torch.arange(len(offsets) - 1, device=offsets.device)
    cell_of_token = cells.repeat_interleave(offsets.diff())[is_gene]
    shape = (len(offsets) - 1, hidden.shape[1])
    sums = hidden.new_zeros(shape).index_add_(0, cell_of_token, hidden[is_gene])
    number = torch.bincount(cell_of_token, minlength=shape[0])
    return sums / number.clamp(min=1)[:, None]
