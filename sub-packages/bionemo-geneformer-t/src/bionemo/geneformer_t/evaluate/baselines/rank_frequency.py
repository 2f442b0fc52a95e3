"""Gene frequencies at each rank of the training split's next cells.

The current cell is ignored, so beating this is the least that a next-cell model must do. Counts at
a single rank are sparse; a Gaussian over ranks smooths them, and its width is the best one for next
cells that are held out of the counting.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, positions
from bionemo.geneformer_t.evaluate.mixture import best_mixture

WIDTHS = (0.25, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Standard deviations in ranks that are tried."""
HELD_OUT = 0.2
"""Fraction of the next cells on which the width and the weights are chosen."""
MAX_CELLS = 4000
"""Current cells that are counted; more change a frequency little."""
MAX_HELD_OUT = 200
"""Current cells on which baselines that see the current cell are tuned."""
MAX_POSITIONS = 100_000
"""Held-out positions on which the width and the weights are chosen."""
_LEAST_COUNT = np.float32(1e-6)
"""Smoothed counts below this come from ranks too far away to say anything."""


@dataclass(frozen=True, kw_only=True)
class RankFrequency:
    """A predictor that gives every cell the same distribution at each rank."""

    table: Float[ndarray, "rank vocab"]
    """Probabilities."""
    width: float
    """The chosen standard deviation, in ranks."""
    mix: tuple[float, ...]
    """Weights of the smoothed frequencies, the frequencies over all ranks, and the uniform."""

    def __call__(
        self, contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """The logarithm of the table's first rows, for every context."""
        with np.errstate(divide="ignore"):
            log_table = np.log(self.table[:num_ranks])
        return np.broadcast_to(log_table, (len(contexts), *log_table.shape))


@dataclass(frozen=True, kw_only=True)
class TrainingPairs:
    """The training split as all baselines are fitted and tuned on it, frequencies included.

    The held-out cells, and the frequencies that every other baseline mixes in, are the same for
    all.
    """

    all: CellPairs
    """What baselines are fitted on in the end, up to `MAX_CELLS` current cells."""
    fitted: CellPairs
    """What they are fitted on while they are tuned."""
    held_out: CellPairs
    """What they are tuned on: its next cells are none of the `fitted`."""
    frequencies: RankFrequency
    """Of `all`."""
    frequencies_of_fitted: RankFrequency
    """Of `fitted`, with the same width and weights."""

    @classmethod
    def of(cls, pairs: CellPairs, rng: np.random.Generator) -> "TrainingPairs":
        """Hold next cells out and tune the frequencies on them.

        Raises:
            ValueError: There are fewer than two next cells.
        """
        pairs = pairs.draw_cells(MAX_CELLS, rng).cached()
        fitted, held_out = pairs.hold_out(HELD_OUT, rng)
        of_fitted = tune_rank_frequency(fitted, held_out, rng)
        return cls(
            all=pairs,
            fitted=fitted,
            held_out=held_out,
            frequencies=_frequencies(count_ranks(pairs), of_fitted.width, of_fitted.mix, pairs),
            frequencies_of_fitted=of_fitted,
        )


def fit_rank_frequency(training: TrainingPairs, _rng: np.random.Generator) -> RankFrequency:
    """The frequencies that are tuned already."""
    return training.frequencies


def tune_rank_frequency(
    pairs: CellPairs, held_out: CellPairs, rng: np.random.Generator
) -> RankFrequency:
    """The frequencies of `pairs`, with the width and weights that fit the held-out ones best.

    Args:
        pairs: What is counted.
        held_out: What width and weights are chosen on.
        rng: Draws positions where there are more than enough.
    """
    targets = list(held_out.targets())
    ranks, genes, weights = positions(
        [cell for target in targets for cell in target.next_cells],
        [weight for target in targets for weight in target.weights],
    )
    drawn = draw_positions(len(ranks), rng)
    ranks, genes, counts = ranks[drawn], genes[drawn], count_ranks(pairs)
    candidates = (
        (
            width,
            np.stack(
                [part[ranks, genes] for part in _components(counts, width, pairs.gene_ids)], axis=1
            ),
        )
        for width in WIDTHS
    )
    width, mix, _ = best_mixture(candidates, weights[drawn])
    return _frequencies(counts, width, mix, pairs)


def _frequencies(
    counts: Float[ndarray, "rank vocab"], width: float, mix: tuple[float, ...], pairs: CellPairs
) -> RankFrequency:
    smoothed, overall, uniform = _components(counts, width, pairs.gene_ids)
    table = (mix[0] * smoothed + mix[1] * overall + mix[2] * uniform).astype(np.float32)
    return RankFrequency(table=table, width=width, mix=mix)


def count_ranks(pairs: CellPairs) -> Float[ndarray, "rank vocab"]:
    """How often each gene is at each rank of a next cell, pairs weighted by their probability."""
    counts = np.zeros((pairs.max_genes, pairs.vocab_size), dtype=np.float32)
    for target in pairs.targets():
        for genes, weight in zip(target.next_cells, target.weights, strict=True):
            counts[np.arange(len(genes)), genes] += weight
    return counts


def draw_positions(number: int, rng: np.random.Generator) -> Int[ndarray, " position"]:
    """At most `MAX_POSITIONS` of `number` positions."""
    if number <= MAX_POSITIONS:
        return np.arange(number)
    return rng.choice(number, MAX_POSITIONS, replace=False)


def smooth(counts: Float[ndarray, "rank vocab"], width: float) -> Float[ndarray, "rank vocab"]:
    """Frequencies at each rank, from counts at ranks around it under a Gaussian.

    Ranks that no training cell reaches, nor any near them, have the frequencies over all ranks.
    """
    ranks = np.arange(len(counts))
    kernel = np.exp(-0.5 * ((ranks[:, None] - ranks) / width) ** 2).astype(np.float32)
    smoothed: ndarray = kernel @ counts
    totals = smoothed.sum(axis=1, keepdims=True)
    overall = counts.sum(axis=0) / counts.sum()
    reached = totals > _LEAST_COUNT
    return np.where(reached, smoothed / np.maximum(totals, _LEAST_COUNT), overall)


def _components(
    counts: Float[ndarray, "rank vocab"], width: float, gene_ids: Int[ndarray, " gene"]
) -> tuple[
    Float[ndarray, "rank vocab"], Float[ndarray, "rank vocab"], Float[ndarray, "rank vocab"]
]:
    overall = counts.sum(axis=0) / counts.sum()
    uniform = np.zeros_like(overall)
    uniform[gene_ids] = 1 / len(gene_ids)
    return (
        smooth(counts, width),
        np.broadcast_to(overall, counts.shape),
        np.broadcast_to(uniform, counts.shape),
    )
