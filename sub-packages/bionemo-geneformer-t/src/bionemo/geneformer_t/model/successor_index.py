"""SuccessorIndex: training cells as points, and the ranked genes of their successors.

The successors of the training cells nearest to a current cell are a prediction by themselves (a
baseline of `evaluate`), and part of a model's (`model/knn_memory.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from numpy import ndarray

from bionemo.geneformer_t.ragged import offsets_of, places_within

_LEAST_MASS = 1e-6
"""Below this fraction of its height a Gaussian is 0."""


@dataclass(frozen=True, kw_only=True)
class SuccessorIndex:
    """Points of current cells, and the ranked genes of their next cells."""

    points: Float[ndarray, "cell component"]
    """Of the current cells; nearer means more similar."""
    edge_offsets: Int[ndarray, " cells_plus_1"]
    """Where the successors of each current cell begin."""
    successors: Int[ndarray, " edge"]
    """Which next cell each of them is."""
    shares: Float[ndarray, " edge"]
    """Their weights; those of one current cell sum to 1."""
    gene_offsets: Int[ndarray, " next_cells_plus_1"]
    """Where the genes of each next cell begin."""
    genes: Int[ndarray, " gene"]
    """Tokens of the next cells, each cell's in rank order."""

    @classmethod
    def of(
        cls,
        points: Float[ndarray, "cell component"],
        successors: Sequence[Sequence[int]],
        shares: Sequence[Sequence[float]],
        genes_of: Mapping[int, Integer[ndarray, " _"]],
    ) -> "SuccessorIndex":
        """An index of cells.

        Args:
            points: Of each current cell.
            successors: Names of the next cells of each.
            shares: Their weights.
            genes_of: Tokens of each next cell, by its name, in rank order.
        """
        names = np.array(sorted(genes_of), dtype=np.int64)
        lengths = [len(genes_of[name]) for name in names.tolist()]
        flat = np.array([name for mine in successors for name in mine], dtype=np.int64)
        return cls(
            points=points,
            edge_offsets=offsets_of([len(mine) for mine in successors]),
            successors=np.searchsorted(names, flat),
            shares=np.array([s for mine in shares for s in mine], dtype=np.float32),
            gene_offsets=offsets_of(lengths),
            genes=np.concatenate([np.asarray(genes_of[n], np.int32) for n in names.tolist()]),
        )

    def __len__(self) -> int:
        return len(self.points)

    def nearest(
        self, point: Float[ndarray, " component"], number: int, excluded: int | None = None
    ) -> Int[ndarray, " _"]:
        """Rows of the nearest current cells, the nearest first, without the excluded one."""
        away = ((self.points - point) ** 2).sum(axis=1)
        if excluded is not None:
            away[excluded] = np.inf
        most = len(away) - (excluded is not None)
        number = min(number, most)
        if not number:
            return np.zeros(0, dtype=np.int64)
        near = np.flatnonzero(away <= np.partition(away, number - 1)[number - 1])
        found: ndarray = near[np.argsort(away[near], kind="stable")][:number]
        return found

    def next_cells(
        self, places: Int[ndarray, " place"]
    ) -> tuple[Int[ndarray, " next_cell"], Float[ndarray, " next_cell"]]:
        """The unique next cells of some current cells, and the total weight of each."""
        starts = self.edge_offsets[places]
        degrees = self.edge_offsets[places + 1] - starts
        edges = places_within(degrees) + np.repeat(starts, degrees)
        weights = np.bincount(self.successors[edges], self.shares[edges])
        found = np.flatnonzero(weights)
        return found, weights[found].astype(np.float32)

    def frequencies(
        self, places: Int[ndarray, " place"], num_ranks: int, width: float
    ) -> tuple[Int[ndarray, " gene"], Float[ndarray, "rank gene"]]:
        """How often each gene is at each rank of the next cells, smoothed over ranks.

        Args:
            places: Of the current cells whose next cells are counted.
            num_ranks: Ranks to return; those below them count in the smoothing too, as far as it
                reaches.
            width: Standard deviation of the smoothing, in ranks.

        Returns:
            Tokens that are found so far up, and their frequencies: each rank's sum to 1, or to 0 if
            no next cell has a gene at that rank, nor at any rank near.
        """
        cells, weights = self.next_cells(places)
        starts = self.gene_offsets[cells]
        lengths = self.gene_offsets[cells + 1] - starts
        lengths = np.minimum(lengths, num_ranks + reach(width))
        longest = max(int(lengths.max(initial=0)), num_ranks)
        ranks = places_within(lengths)
        flat = self.genes[ranks + np.repeat(starts, lengths)]
        column = np.zeros(flat.max(initial=0) + 1, dtype=np.int64)
        column[flat] = 1
        genes = np.flatnonzero(column)
        column[genes] = np.arange(len(genes))
        size = longest * len(genes)
        counts = np.bincount(
            ranks * len(genes) + column[flat], np.repeat(weights, lengths), minlength=size
        ).reshape(longest, len(genes))
        apart = np.arange(num_ranks)[:, None] - np.arange(longest)
        smoothed = gaussian(apart, width) @ counts.astype(np.float32)
        total = smoothed.sum(axis=1, keepdims=True)
        return genes, np.divide(smoothed, total, out=np.zeros_like(smoothed), where=total > 0)

    def at(
        self,
        places: Int[ndarray, " place"],
        numbers: Sequence[int],
        ranks: Int[ndarray, " position"],
        genes: Int[ndarray, " position"],
        widths: Sequence[float],
    ) -> Iterator[Float[ndarray, "number position"]]:
        """`frequencies` of some genes at some ranks (from 0), for each of some widths.

        Only these are computed, so that many can be tried. Next cells count at full length.

        Args:
            places: Of current cells, the nearest first.
            numbers: How many of them count, one row of the result for each.
            ranks: Of the positions that are asked for.
            genes: At these positions.
            widths: Standard deviations of the smoothing, in ranks.
        """
        cells, _ = self.next_cells(places)
        shares = np.zeros((len(numbers), len(cells)), dtype=np.float32)
        for row, number in zip(shares, numbers, strict=True):
            found, weights = self.next_cells(places[:number])
            row[np.searchsorted(cells, found)] = weights
        lengths = np.diff(self.gene_offsets)[cells]
        longest = max(int(lengths.max(initial=0)), int(ranks.max(initial=0)) + 1)
        apart = self._apart(cells, ranks, genes, longest)
        # the mass of all genes of a cell of some length at a rank: a difference of cumulative sums
        starts = longest - ranks
        ends = starts + lengths[:, None]
        for width in widths:
            mass = gaussian(np.arange(longest + 1), width)
            mass[longest] = 0
            upto = np.cumsum(np.concatenate([[0], mass[:0:-1], mass]), dtype=np.float32)
            found = _weighted(shares, mass[apart])
            total = _weighted(shares, upto[ends] - upto[starts])
            yield np.divide(found, total, out=np.zeros_like(found), where=total > 0)

    def _apart(
        self,
        cells: Int[ndarray, " cell"],
        ranks: Int[ndarray, " position"],
        genes: Int[ndarray, " position"],
        longest: int,
    ) -> Int[ndarray, "cell position"]:
        """How many ranks away each cell has each position's gene; `longest` where it has not."""
        where = np.full((len(cells), int(self.genes.max(initial=0)) + 2), 2 * longest, np.int32)
        for row, cell in zip(where, cells, strict=True):
            mine = self.genes[self.gene_offsets[cell] : self.gene_offsets[cell + 1]]
            row[mine] = np.arange(len(mine))
        # the last column is that of all genes that no next cell has
        apart = where[:, np.minimum(genes, where.shape[1] - 1)] - ranks.astype(np.int32)
        return np.minimum(np.abs(apart, out=apart), longest, out=apart)

    def to_dict(self) -> dict[str, torch.Tensor]:
        """Tensors, for checkpoints."""
        return {
            field.name: torch.from_numpy(np.ascontiguousarray(getattr(self, field.name)))
            for field in fields(self)
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SuccessorIndex":
        """The inverse of `to_dict`."""
        return cls(**{field.name: values[field.name].cpu().numpy() for field in fields(cls)})


def add_found(
    probabilities: Float[ndarray, "rank vocab"],
    genes: Int[ndarray, " gene"],
    frequencies: Float[ndarray, "rank gene"],
    weight: float,
) -> None:
    """Add frequencies, with their weight, to the other parts of a mixture, in place.

    At ranks without frequencies the other parts are scaled up instead.
    """
    reached = frequencies.any(axis=1)
    probabilities[np.ix_(reached, genes)] += np.float32(weight) * frequencies[reached]
    probabilities[~reached] /= np.float32(1 - weight)


def reach(width: float) -> int:
    """How many ranks away `gaussian` can be more than 0, at most."""
    return int(np.ceil(width * np.sqrt(-2 * np.log(_LEAST_MASS)))) + 1


def gaussian(apart: Integer[ndarray, "..."], width: float) -> Float[ndarray, "..."]:
    """An unnormalised Gaussian, 0 where it is negligible."""
    mass = np.exp(-0.5 * (apart.astype(np.float32) / np.float32(width)) ** 2)
    mass[mass < _LEAST_MASS] = 0
    return mass


def _weighted(
    shares: Float[ndarray, "number cell"], values: Float[ndarray, "cell position"]
) -> Float[ndarray, "number position"]:
    """Their product. BLAS can warn of an invalid value in small ones where all are finite."""
    with np.errstate(invalid="ignore"):
        return shares @ values
