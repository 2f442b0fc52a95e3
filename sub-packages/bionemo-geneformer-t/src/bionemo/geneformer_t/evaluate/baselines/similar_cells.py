"""The successors of the training cells that look like the current cell.

The genes of those successors are counted at each rank, smoothed over ranks, and mixed with the rank
frequencies and the uniform distribution. The number of cells, the width and the weights are chosen
on held-out next cells. No network, and a strong one: a model that does not beat this has learned
less than a look-up in the training data.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.profile_space import ProfileSpace
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import (
    MAX_HELD_OUT,
    RankFrequency,
    TrainingPairs,
)
from bionemo.geneformer_t.evaluate.mixture import cross_entropy, mixture_weights
from bionemo.geneformer_t.evaluate.pairs import CellPairs, Targets

NUMBERS = (5, 15, 30, 60, 120)
"""How many similar cells are tried."""
WIDTHS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Standard deviations in ranks that are tried."""
POSITIONS_PER_CELL = 100
"""Positions of each of their next cells that are looked at."""
_ABSENT = -1


@dataclass(frozen=True, kw_only=True)
class Library:
    """Training cells to look in."""

    space: ProfileSpace
    points: Float[ndarray, "cell component"]
    """Where the current cells lie."""
    cells: Int[ndarray, " cell"]
    """Their rows."""
    successors: list[tuple[list[Int[ndarray, " _"]], list[float]]]
    """The genes of each one's next cells, and their shares."""

    @classmethod
    def of(cls, pairs: CellPairs) -> "Library":
        """All current cells of the pairs."""
        targets = list(pairs.targets())
        contexts = [target.context for target in targets]
        space = ProfileSpace.fit(contexts, pairs.max_genes, pairs.vocab_size)
        return cls(
            space=space,
            points=space.points(contexts),
            cells=np.array([target.cell for target in targets]),
            successors=[(target.next_cells, target.weights) for target in targets],
        )

    def nearest(
        self, context: Int[ndarray, " gene"], but_not: int | None = None
    ) -> Int[ndarray, " cell"]:
        """Places of the cells in the library, the most similar first, without the cell itself."""
        away = ((self.points - self.space.points([context])) ** 2).sum(axis=1)
        order = np.argsort(away, kind="stable")
        return order if but_not is None else order[self.cells[order] != but_not]

    def next_cells(
        self, places: Int[ndarray, " _"]
    ) -> tuple[list[Int[ndarray, " _"]], Float[ndarray, " next_cell"]]:
        """The next cells of some cells and their weights."""
        genes = [cell for place in places for cell in self.successors[place][0]]
        weights = [weight for place in places for weight in self.successors[place][1]]
        return genes, np.array(weights, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class SimilarCells:
    """A predictor that looks similar cells up."""

    library: Library
    frequencies: RankFrequency
    number: int
    """Similar cells that are looked at."""
    width: float
    """Standard deviation of the smoothing, in ranks."""
    mix: tuple[float, float, float]
    """Weights of the successors, the rank frequencies and the uniform distribution."""
    gene_ids: Int[ndarray, " gene"]

    def __call__(
        self, contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """Log-probabilities for each current cell."""
        rest = (self.mix[1] * self.frequencies.table[:num_ranks]).astype(np.float32)
        rest[:, self.gene_ids] += np.float32(self.mix[2] / len(self.gene_ids))
        found = np.repeat(rest[None], len(contexts), axis=0)
        smoothing = gaussian(np.arange(num_ranks)[:, None] - np.arange(num_ranks), self.width)
        for row, context in zip(found, contexts, strict=True):
            next_cells = self.library.next_cells(self.library.nearest(context)[: self.number])
            genes, counts = _count(*next_cells, num_ranks)
            smoothed = smoothing @ counts
            total = smoothed.sum(axis=1, keepdims=True)
            reached = total[:, 0] > 0
            row[np.ix_(reached, genes)] += (
                self.mix[0] * (smoothed / np.maximum(total, 1e-30))[reached]
            )
            row[~reached] /= 1 - self.mix[0]
        with np.errstate(divide="ignore"):
            return np.log(found)


def fit_similar_cells(training: TrainingPairs, generator: np.random.Generator) -> SimilarCells:
    """Choose number, width and weights on held-out next cells, then look in all of them."""
    library = Library.of(training.fitted)
    asked = list(training.held_out.draw_cells(MAX_HELD_OUT, generator).targets())
    table, gene_ids = training.frequencies_of_fitted.table, training.all.gene_ids
    best = (np.inf, 0, 0.0, np.zeros(3))
    parts = _held_out_parts(library, asked, table, len(gene_ids), generator)
    for (number, width), (probabilities, weights) in parts.items():
        mix = mixture_weights(probabilities, weights)
        candidate = (cross_entropy(probabilities, weights, mix), number, width, mix)
        best = min(best, candidate, key=lambda one: one[0])
    _, number, width, mix = best
    return SimilarCells(
        library=Library.of(training.all),
        frequencies=training.frequencies,
        number=number,
        width=width,
        mix=(float(mix[0]), float(mix[1]), float(mix[2])),
        gene_ids=gene_ids,
    )


def gaussian(apart: ndarray, width: float) -> Float[ndarray, "..."]:
    """An unnormalised Gaussian, 0 where it has become negligible."""
    mass = np.exp(-0.5 * (apart.astype(np.float32) / np.float32(width)) ** 2)
    mass[mass < 1e-6] = 0
    return mass


def _count(
    next_cells: list[Int[ndarray, " _"]], weights: Float[ndarray, " next_cell"], num_ranks: int
) -> tuple[Int[ndarray, " gene"], Float[ndarray, "rank gene"]]:
    """The genes of some cells, and how often each stands at each rank."""
    kept = [genes[:num_ranks] for genes in next_cells]
    flat = np.concatenate(kept)
    column = np.zeros(flat.max(initial=0) + 1, dtype=np.int64)
    column[flat] = 1
    genes = np.flatnonzero(column)
    column[genes] = np.arange(len(genes))
    ranks = np.concatenate([np.arange(len(cell)) for cell in kept])
    shares = np.repeat(weights, [len(cell) for cell in kept])
    size = num_ranks * len(genes)
    counts = np.bincount(ranks * len(genes) + column[flat], shares, minlength=size)
    return genes, counts.reshape(num_ranks, len(genes)).astype(np.float32)


def _held_out_parts(
    library: Library,
    asked: list[Targets],
    table: Float[ndarray, "rank vocab"],
    num_genes: int,
    generator: np.random.Generator,
) -> dict[tuple[int, float], tuple[Float[ndarray, "position 3"], Float[ndarray, " position"]]]:
    """For each number and width: what successors, frequencies and uniform gave held-out genes."""
    places = [library.nearest(target.context, but_not=target.cell) for target in asked]
    found: dict[tuple[int, float], list[ndarray]] = {key: [] for key in product(NUMBERS, WIDTHS)}
    others, all_weights = [], []
    for target, near in zip(asked, places, strict=True):
        ranks, genes, weights = _positions(target, generator)
        others.append(np.stack([table[ranks, genes], np.full(len(ranks), 1 / num_genes)], axis=1))
        all_weights.append(weights)
        for number in NUMBERS:
            next_cells, shares = library.next_cells(near[:number])
            where = _places(next_cells, table.shape[1])[:, genes]
            lengths = np.array([len(cell) for cell in next_cells])
            for width in WIDTHS:
                found[number, width].append(_smoothed_at(where, lengths, shares, ranks, width))
    weights = np.concatenate(all_weights)
    rest = np.concatenate(others)
    return {
        key: (np.column_stack([np.concatenate(local), rest]).astype(np.float64), weights)
        for key, local in found.items()
    }


def _positions(
    target: Targets, generator: np.random.Generator
) -> tuple[Int[ndarray, " position"], Int[ndarray, " position"], Float[ndarray, " position"]]:
    """Ranks, genes and weights of some positions of each next cell."""
    ranks, genes, weights = [], [], []
    for cell, weight in zip(target.next_cells, target.weights, strict=True):
        number = min(POSITIONS_PER_CELL, len(cell))
        chosen = generator.choice(len(cell), number, replace=False)
        ranks.append(chosen)
        genes.append(cell[chosen])
        weights.append(np.full(number, weight * len(cell) / max(number, 1)))
    return np.concatenate(ranks), np.concatenate(genes), np.concatenate(weights)


def _places(cells: list[Int[ndarray, " _"]], vocab_size: int) -> Int[ndarray, "cell vocab"]:
    """The rank of each gene in each cell, `_ABSENT` where the cell lacks it."""
    places = np.full((len(cells), vocab_size), _ABSENT, dtype=np.int32)
    for row, genes in zip(places, cells, strict=True):
        row[genes] = np.arange(len(genes))
    return places


def _smoothed_at(
    where: Int[ndarray, "cell position"],
    lengths: Int[ndarray, " cell"],
    shares: Float[ndarray, " cell"],
    ranks: Int[ndarray, " position"],
    width: float,
) -> Float[ndarray, " position"]:
    """The smoothed frequency of each position's gene at its rank, 0 where no cell reaches."""
    longest = max(int(lengths.max(initial=0)), int(ranks.max(initial=0)) + 1)
    mass = gaussian(np.arange(longest + 1), width)
    near = np.where(where == _ABSENT, 0, mass[np.minimum(np.abs(where - ranks), longest)])
    # what all genes of a cell of some length give a rank: a difference of cumulated mass
    both_sides = np.concatenate([mass[:0:-1], mass])
    upto = np.concatenate([[0], np.cumsum(both_sides)])
    start = len(mass) - 1 - ranks
    total = upto[start[None] + lengths[:, None]] - upto[start][None]
    numerator, denominator = shares @ near, shares @ total
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
