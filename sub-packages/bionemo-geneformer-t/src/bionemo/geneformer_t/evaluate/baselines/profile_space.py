"""Cells as points in a few dimensions, for baselines that compare or regress cells.

A cell's profile gives 1 to its first gene, falling evenly to 0 after the last rank that is kept.
The leading singular vectors of the training cells' profiles span the space; profiles are sparse, so
they are not centred.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.scores.profiles import rank_weights
from bionemo.geneformer_t.ragged import offsets_of

NUM_COMPONENTS = 50


@dataclass(frozen=True, kw_only=True)
class ProfileSpace:
    """A linear map from profiles to points and back."""

    axes: Float[ndarray, "component vocab"]
    """Orthonormal rows."""
    num_ranks: int
    """Ranks that profiles look at."""

    @classmethod
    def fit(
        cls, cells: Sequence[Int[ndarray, " _"]], num_ranks: int, vocab_size: int
    ) -> "ProfileSpace":
        """The space of the training cells, given as genes in rank order."""
        from sklearn.utils.extmath import randomized_svd

        table = sparse_profiles(cells, num_ranks, vocab_size)
        number = min(NUM_COMPONENTS, *table.shape)
        _, _, axes = randomized_svd(table, number, random_state=0)
        return cls(axes=axes.astype(np.float32), num_ranks=num_ranks)

    def points(self, cells: Sequence[Int[ndarray, " _"]]) -> Float[ndarray, "cell component"]:
        """Where cells lie."""
        table = sparse_profiles(cells, self.num_ranks, self.axes.shape[1])
        found: ndarray = np.asarray(table @ self.axes.T, dtype=np.float32)
        return found

    def profiles(self, points: Float[ndarray, "cell component"]) -> Float[ndarray, "cell vocab"]:
        """The profiles that points stand for."""
        found: ndarray = points.astype(np.float32) @ self.axes
        return found


def sparse_profiles(
    cells: Iterable[Int[ndarray, " _"]], num_ranks: int, vocab_size: int
) -> sp.csr_matrix:
    """The profile of each cell, cells x vocabulary."""
    weights = rank_weights(num_ranks).astype(np.float32)
    kept = [genes[:num_ranks] for genes in cells]
    lengths = [len(genes) for genes in kept]
    columns = np.concatenate([*kept, np.zeros(0, dtype=np.int64)])
    values = np.concatenate([*(weights[:length] for length in lengths), np.zeros(0, np.float32)])
    return sp.csr_matrix((values, columns, offsets_of(lengths)), shape=(len(kept), vocab_size))


def mean_next_profiles(
    pairs: "list[tuple[list[Int[ndarray, ' _']], list[float]]]", num_ranks: int, vocab_size: int
) -> sp.csr_matrix:
    """The weighted mean profile of the next cells of each current cell."""
    genes = [cell for next_cells, _ in pairs for cell in next_cells]
    owner = np.repeat(np.arange(len(pairs)), [len(next_cells) for next_cells, _ in pairs])
    shares = np.array([weight for _, weights in pairs for weight in weights], dtype=np.float32)
    averaging = sp.csr_matrix(
        (shares, (owner, np.arange(len(genes)))), shape=(len(pairs), len(genes))
    )
    return averaging @ sparse_profiles(genes, num_ranks, vocab_size)
