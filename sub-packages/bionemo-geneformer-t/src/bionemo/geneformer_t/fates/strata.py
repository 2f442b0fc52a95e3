"""Strata: cells that may be exchanged for each other when there is no effect.

A stratum holds cells of one cluster (and one donor) with similar depth. Ranks are taken within
strata and permutations exchange cells within strata, so that what sets clusters, donors or depths
apart is neither an effect nor evidence.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

_LEAST = 20
"""Cells of a stratum, at least, as far as a cluster has so many."""


@dataclass(frozen=True, kw_only=True)
class Strata:
    """Cells sorted by stratum; all arrays of cells here are in this order."""

    order: Int[ndarray, " cell"]
    """The cells as they were given, stratum by stratum."""
    starts: Int[ndarray, " strata_plus_1"]
    """Where each stratum begins; the last entry is the number of cells."""
    donor: Int[ndarray, " stratum"]
    """The donor of each; strata are sorted by donor."""

    @property
    def sizes(self) -> Int[ndarray, " stratum"]:
        """Cells of each stratum."""
        return np.diff(self.starts)

    @property
    def of_cell(self) -> Int[ndarray, " cell"]:
        """The stratum of each cell."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def donors(self) -> list[int]:
        """The donors, in order."""
        return [int(donor) for donor in np.unique(self.donor)]

    def cells_of(self, donor: int) -> slice:
        """The cells of a donor."""
        first, last = np.searchsorted(self.donor, (donor, donor + 1))
        return slice(int(self.starts[first]), int(self.starts[last]))

    def only(self, which: Bool[ndarray, " stratum"]) -> "Strata":
        """Some of the strata; cells of the others are left out."""
        return Strata(
            order=self.order[which[self.of_cell]],
            starts=np.concatenate([[0], np.cumsum(self.sizes[which])]),
            donor=self.donor[which],
        )


def make_strata(
    clusters: Shaped[ndarray, " cell"],
    donors: Shaped[ndarray, " cell"] | None,
    depth: Float[ndarray, " cell"],
    depth_bins: int,
) -> Strata:
    """Divide the cells of each cluster and donor into equal parts by depth.

    Args:
        clusters: Label of each cell.
        donors: Donor of each cell; None if all belong together.
        depth: Total counts.
        depth_bins: Parts; fewer where there would be less than 20 cells in a part.
    """
    donor = np.zeros(len(clusters), dtype=np.int64)
    if donors is not None:
        donor = np.unique(donors, return_inverse=True)[1].ravel()
    cluster = np.unique(clusters, return_inverse=True)[1].ravel()
    order = np.lexsort((depth, cluster, donor))
    group = (donor * (cluster.max(initial=0) + 1) + cluster)[order]
    bounds = np.append(np.flatnonzero(np.diff(group, prepend=-1)), len(group))
    starts = [0]
    for first, last in pairwise(bounds.tolist()):
        parts = int(np.clip((last - first) // _LEAST, 1, depth_bins))
        starts += np.linspace(first, last, parts + 1).round().astype(np.int64)[1:].tolist()
    places = np.array(starts)
    return Strata(order=order, starts=places, donor=donor[order][places[:-1]])


def permuted(
    strata: Strata, number: int, rng: np.random.Generator
) -> Int[ndarray, "permutation cell"]:
    """Random permutations of the cells within strata, one a row."""
    found = np.empty((number, len(strata.order)), dtype=np.int32)
    for first, last in pairwise(strata.starts.tolist()):
        cells = np.arange(first, last, dtype=np.int32)
        found[:, first:last] = rng.permuted(np.tile(cells, (number, 1)), axis=1)
    return found


def centred(values: Float[ndarray, "cell column"], strata: Strata) -> Float[ndarray, "cell column"]:
    """Values minus the mean of their stratum."""
    sums = np.add.reduceat(values, strata.starts[:-1], axis=0)
    centred_values: Float[ndarray, "cell column"] = (
        values - (sums / strata.sizes[:, None])[strata.of_cell]
    )
    return centred_values


@dataclass(frozen=True, kw_only=True)
class StratumRanks:
    """Ranks of each gene's values within strata, divided by the stratum's size, and centred.

    All cells of a stratum that do not express a gene share its lowest rank.
    """

    above_zero: sp.csc_array
    """Cells x genes: how far a rank is above the lowest."""
    at_zero: Float[ndarray, "stratum gene"]
    """The lowest rank, centred."""
    squares: Float[ndarray, "stratum gene"]
    """Sum of squares of the centred ranks in each stratum."""

    def dense(self, genes: Int[ndarray, " gene"], strata: Strata) -> Float[ndarray, "cell gene"]:
        """The centred ranks of some genes."""
        lowest = self.at_zero[:, genes][strata.of_cell]
        found: Float[ndarray, "cell gene"] = lowest + self.above_zero[:, genes].toarray()
        return found


def stratum_ranks(values: sp.csc_array, strata: Strata) -> StratumRanks:
    """Rank sparse values that are not negative; ties get their mean rank.

    Args:
        values: Cells x genes, cells in the order of the strata; what is not stored is 0.
        strata: Of these cells.
    """
    num_strata, num_genes = len(strata.sizes), values.shape[1]
    gene = np.repeat(np.arange(num_genes), np.diff(values.indptr))
    group = gene * num_strata + strata.of_cell[values.indices]
    order = np.lexsort((values.data, group))
    groups, ordered = group[order], values.data[order]
    is_first = np.diff(groups, prepend=-1) != 0
    is_new_value = is_first | (np.diff(ordered, prepend=-1) != 0)
    position = np.arange(len(order)) - np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
    tie = np.cumsum(is_new_value) - 1
    position = (np.bincount(tie, position) / np.maximum(np.bincount(tie), 1))[tie]
    expressing = np.bincount(group, minlength=num_strata * num_genes)
    size = np.tile(strata.sizes, num_genes)
    # of n cells, m of which express the gene: zeros have rank (n - m + 1) / 2 and centred ranks
    # of -m / 2; the lowest of the others has rank n - m + 1
    above = (size - expressing + 1)[groups] / 2 + position
    at_zero = -expressing / 2 / size
    centred_ranks = above / size[groups] + at_zero[groups]
    of_expressing = np.bincount(groups, centred_ranks**2, minlength=len(size))
    squares = of_expressing + (size - expressing) * at_zero**2
    data = np.empty(len(order), dtype=np.float32)
    data[order] = above / size[groups]
    return StratumRanks(
        above_zero=sp.csc_array((data, values.indices, values.indptr), shape=values.shape),
        at_zero=at_zero.reshape(num_genes, num_strata).T.astype(np.float32),
        squares=squares.reshape(num_genes, num_strata).T,
    )
