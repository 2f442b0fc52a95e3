"""Cells as points in a few dimensions, for baselines that compare or regress cells.

The leading singular vectors of the training cells' profiles span the space; profiles are sparse, so
they are not centred.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.scores.profiles import cell_profiles

NUM_COMPONENTS = 50
NUMBERS_OF_AXES = (5, 10, 20, 50, 100)
"""Numbers that baselines choose from, as far as there are cells."""


@dataclass(frozen=True, kw_only=True)
class ProfileSpace:
    """A linear map from profiles to points and back."""

    axes: Float[ndarray, "component vocab"]
    """Orthonormal rows."""
    num_ranks: int
    """Ranks of the profiles."""

    @classmethod
    def fit(
        cls,
        cells: Sequence[Int[ndarray, " _"]],
        num_ranks: int,
        vocab_size: int,
        num_axes: int = NUM_COMPONENTS,
    ) -> "ProfileSpace":
        """The space of the training cells, given as genes in rank order.

        It has fewer axes where there are fewer cells or tokens.
        """
        from sklearn.utils.extmath import randomized_svd

        table = cell_profiles(cells, num_ranks, vocab_size)
        number = min(num_axes, *table.shape)
        _, _, axes = randomized_svd(table, number, random_state=0)
        return cls(axes=axes.astype(np.float32), num_ranks=num_ranks)

    def only(self, num_axes: int) -> "ProfileSpace":
        """The space of the first axes, which vary most."""
        return replace(self, axes=self.axes[:num_axes])

    def points(self, cells: Sequence[Int[ndarray, " _"]]) -> Float[ndarray, "cell component"]:
        """The points of cells."""
        table = cell_profiles(cells, self.num_ranks, self.axes.shape[1])
        found: ndarray = np.asarray(table @ self.axes.T, dtype=np.float32)
        return found

    def profiles(self, points: Float[ndarray, "cell component"]) -> Float[ndarray, "cell vocab"]:
        """The profiles of points."""
        found: ndarray = points.astype(np.float32) @ self.axes
        return found


def numbers_of_axes(most: int) -> tuple[int, ...]:
    """The numbers that are tried where spaces have `most` axes; at least one."""
    return tuple(n for n in NUMBERS_OF_AXES if n <= most) or (most,)
