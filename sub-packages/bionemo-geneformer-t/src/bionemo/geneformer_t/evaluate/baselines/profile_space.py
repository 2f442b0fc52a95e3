"""Cells as points in a few dimensions, for baselines that compare or regress cells.

The leading singular vectors of the training cells' profiles span the space; profiles are sparse, so
they are not centred.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.scores.profiles import cell_profiles

NUM_COMPONENTS = 50


@dataclass(frozen=True, kw_only=True)
class ProfileSpace:
    """A linear map from profiles to points and back."""

    axes: Float[ndarray, "component vocab"]
    """Orthonormal rows."""
    num_ranks: int
    """Ranks of the profiles."""

    @classmethod
    def fit(
        cls, cells: Sequence[Int[ndarray, " _"]], num_ranks: int, vocab_size: int
    ) -> "ProfileSpace":
        """The space of the training cells, given as genes in rank order."""
        from sklearn.utils.extmath import randomized_svd

        table = cell_profiles(cells, num_ranks, vocab_size)
        number = min(NUM_COMPONENTS, *table.shape)
        _, _, axes = randomized_svd(table, number, random_state=0)
        return cls(axes=axes.astype(np.float32), num_ranks=num_ranks)

    def points(self, cells: Sequence[Int[ndarray, " _"]]) -> Float[ndarray, "cell component"]:
        """The points of cells."""
        table = cell_profiles(cells, self.num_ranks, self.axes.shape[1])
        found: ndarray = np.asarray(table @ self.axes.T, dtype=np.float32)
        return found

    def profiles(self, points: Float[ndarray, "cell component"]) -> Float[ndarray, "cell vocab"]:
        """The profiles of points."""
        found: ndarray = points.astype(np.float32) @ self.axes
        return found
