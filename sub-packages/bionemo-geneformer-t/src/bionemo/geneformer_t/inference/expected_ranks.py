"""The expected normalised rank of every gene in the predicted next cell, beside the current cell.

The normalised rank of a gene is 1 at the first rank and falls evenly to 0 after the last rank that
counts; it is 0 for genes that are absent. A prediction has a probability for each gene at each
rank, and its expectation is the sum over ranks. As many ranks are asked for as the current cell has
genes: a model predicts which genes come at which rank, not how many there are.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.normalised_ranks import rank_table, rank_weights
from bionemo.geneformer_t.ragged import Ragged

MOST_RANKS = 256
"""Ranks that count, at most: the work grows with ranks times genes of the vocabulary."""
NUMBERS_AT_ONCE = 2**26
"""Probabilities of one batch, at most: 256 MiB."""
UNIT = (
    "normalised rank: 1 at the first rank of a cell, falling evenly to 0 after rank {num_ranks}, "
    "and 0 for absent genes; of predictions, the expectation over the predicted probabilities"
)
CHANGE = "difference of normalised ranks: predicted next cell minus current cell"
AGAINST_AVERAGE = (
    "difference of normalised ranks: predicted next cell minus the mean prediction of all cells of "
    "this output"
)


@dataclass(frozen=True, kw_only=True)
class ExpectedRanks:
    """Normalised ranks of all genes of the vocabulary, in the order of its `genes`."""

    following: Float[ndarray, "cell gene"]
    """Expected in the predicted next cell."""
    current: Float[ndarray, "cell gene"]
    """In the current cell."""

    @property
    def change(self) -> Float[ndarray, "cell gene"]:
        """Of the prediction against the current cell."""
        return self.following - self.current


def ranks_that_count(model: NextCellModel, genes_per_cell: int) -> int:
    """How many ranks normalised ranks are over: those that the model reads, at most 256."""
    return min(genes_per_cell, MOST_RANKS, len(model.required_vocab().genes))


def expected_ranks(
    log_probs: Float[Tensor, "cell rank vocab"],
    lengths: Int[ndarray, " cell"],
    gene_ids: Int[ndarray, " gene"],
) -> Float[ndarray, "cell gene"]:
    """Expected normalised ranks of genes.

    Args:
        log_probs: Of every token at the ranks that count.
        lengths: Genes of each current cell: as many ranks are taken.
        gene_ids: The genes to return.
    """
    num_ranks = log_probs.shape[1]
    weights = np.where(np.arange(num_ranks) < lengths[:, None], rank_weights(num_ranks), 0)
    held = torch.from_numpy(weights.astype(np.float32)).to(log_probs.device)
    expected = torch.einsum("cr,crv->cv", held, log_probs.float().exp())
    found: Float[ndarray, "cell gene"] = expected.cpu().numpy()[:, gene_ids]
    return found


def current_ranks(
    contexts: Ragged, num_ranks: int, gene_ids: Int[ndarray, " gene"], vocab_size: int
) -> Float[ndarray, "cell gene"]:
    """Normalised ranks of genes in current cells, given as genes in rank order."""
    table: ndarray = rank_table(contexts, num_ranks, vocab_size).toarray()
    return table[:, gene_ids]
