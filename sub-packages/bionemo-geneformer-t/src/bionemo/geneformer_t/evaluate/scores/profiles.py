"""Cells and predictions as profiles: normalised ranks of all genes, in one space for all.

The normalised rank of a gene is 1 at the first rank and falls evenly to 0 after the last rank that
counts and for genes that are absent. The profile of a cell holds those of its genes; that of a
prediction is its expectation over the predicted distribution at each rank. Profiles are compared by
the correlation of their differences from the average cell.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Targets
from bionemo.geneformer_t.model.normalised_ranks import rank_table, rank_weights
from bionemo.geneformer_t.ragged import Ragged

NEAREST = 10
"""Cells whose coordinates are averaged."""


def typical_length(lengths: Int[ndarray, " cell"], max_genes: int) -> int:
    """The number of ranks of profiles: the median cell's, as far as cells are kept."""
    return max(1, min(max_genes, int(np.median(lengths))))


def cell_profiles(
    cells: Iterable[Int[ndarray, " _"]], num_ranks: int, vocab_size: int
) -> sp.csr_matrix:
    """The profile of each cell, given as genes in rank order; cells x vocabulary."""
    return sp.csr_matrix(rank_table(Ragged.of(list(cells)), num_ranks, vocab_size))


def mean_next_profiles(
    targets: Sequence[Targets], num_ranks: int, vocab_size: int
) -> sp.csr_matrix:
    """The weighted mean profile of the next cells of each current cell."""
    genes = [cell for target in targets for cell in target.next_cells]
    owner = np.repeat(np.arange(len(targets)), [len(target.next_cells) for target in targets])
    weights = np.array([w for target in targets for w in target.weights], dtype=np.float32)
    averaging = sp.csr_matrix(
        (weights, (owner, np.arange(len(genes)))), shape=(len(targets), len(genes))
    )
    return averaging @ cell_profiles(genes, num_ranks, vocab_size)


@dataclass(frozen=True, kw_only=True)
class PairProfiles:
    """Profiles of current cells and of their next cells."""

    num_ranks: int
    """Ranks of the profiles."""
    current: sp.csr_matrix
    """Current cells x vocabulary."""
    following: sp.csr_matrix
    """The same of the mean of each one's next cells."""
    next_cells: sp.csr_matrix
    """Next cells, each once, x vocabulary."""
    of_pair: Int[ndarray, " pair"]
    """The row of `next_cells` of each pair."""

    @cached_property
    def dense(self) -> tuple[Float[ndarray, "cell vocab"], Float[ndarray, "cell vocab"]]:
        """`current` and `following` as arrays."""
        return self.current.toarray(), self.following.toarray()

    @classmethod
    def of(
        cls, pairs: CellPairs, targets: Sequence[Targets], num_ranks: int | None = None
    ) -> "PairProfiles":
        """The profiles of all cells of some pairs.

        Args:
            pairs: Current and next cells.
            targets: `pairs.targets()`.
            num_ranks: Ranks of the profiles; by default those of the median next cell.
        """
        genes = [cell for target in targets for cell in target.next_cells]
        if num_ranks is None:
            num_ranks = typical_length(np.array([len(cell) for cell in genes]), pairs.max_genes)
        size = num_ranks, pairs.vocab_size
        _, first, of_pair = np.unique(pairs.next_ids, return_index=True, return_inverse=True)
        return cls(
            num_ranks=num_ranks,
            current=cell_profiles([target.context for target in targets], *size),
            following=mean_next_profiles(targets, *size),
            next_cells=cell_profiles([genes[i] for i in first], *size),
            of_pair=of_pair,
        )


def expected_profiles(
    predictor: Callable[[list[Int[ndarray, " _"]], int], Float[ndarray, "context rank vocab"]],
    batches: Iterable[list[Int[ndarray, " _"]]],
    num_ranks: int,
) -> Float[ndarray, "cell vocab"]:
    """The expected profile of the predicted next cell of each current cell."""
    weights = rank_weights(num_ranks).astype(np.float32)
    rows = [
        np.einsum("crv,r->cv", np.exp(predictor(contexts, num_ranks)), weights)
        for contexts in batches
    ]
    return np.concatenate(rows)


def place(
    profiles: Float[ndarray, "prediction vocab"],
    reference: Float[ndarray, "cell vocab"],
    coordinates: Float[ndarray, "cell axis"],
) -> Float[ndarray, "prediction axis"]:
    """Mean coordinates of the reference cells whose profiles correlate most with each prediction.

    Predictions are centred on their own mean: an expectation has less contrast than a cell, and
    the difference is the same for all.
    """
    similarity = _unit(profiles) @ _unit(reference).T
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEAREST]
    return coordinates[nearest].mean(axis=1)


def _unit(profiles: Float[ndarray, "row vocab"]) -> Float[ndarray, "row vocab"]:
    centred = profiles - profiles.mean(axis=0)
    centred -= centred.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.maximum(length, np.finfo(np.float32).tiny)
