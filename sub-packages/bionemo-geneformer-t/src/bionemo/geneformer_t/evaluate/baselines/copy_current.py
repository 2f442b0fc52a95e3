"""The next cell is the current cell again, as far as held-out cells say so.

At each rank, mass goes to the current cell's gene at that rank and, under a Gaussian, at ranks near
it; the rest follows the rank frequencies. Width and share are chosen on held-out next cells. A
model that is no better than this has learned no change.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.rank_frequency import (
    HELD_OUT,
    MAX_CELLS,
    RankFrequency,
    count_ranks,
    draw_positions,
    tune_rank_frequency,
)
from bionemo.geneformer_t.evaluate.mixture import cross_entropy, mixture_weights
from bionemo.geneformer_t.evaluate.pairs import CellPairs

WIDTHS = (0.25, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""Standard deviations in ranks that are tried."""


@dataclass(frozen=True, kw_only=True)
class CopyCurrent:
    """A predictor that expects the current cell's order again."""

    frequencies: RankFrequency
    """What takes the rest of the mass."""
    width: float
    """Standard deviation, in ranks, of where a gene is expected again."""
    share: float
    """Mass that goes to the current cell's genes."""

    def __call__(
        self, contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """Log-probabilities for each current cell."""
        table = self.frequencies.table[:num_ranks]
        probabilities = np.repeat((1 - self.share) * table[None], len(contexts), axis=0)
        for i, context in enumerate(contexts):
            if len(context):
                mass = self.share * kernel(num_ranks, len(context), self.width)
                probabilities[i][:, context] += mass
            else:
                probabilities[i] = table
        with np.errstate(divide="ignore"):
            return np.log(probabilities)


def fit_copy_current(pairs: CellPairs, generator: np.random.Generator) -> CopyCurrent:
    """Choose width and share on held-out next cells, then count all of them."""
    pairs = pairs.draw_cells(MAX_CELLS, generator)
    fitted, held_out = pairs.hold_out(HELD_OUT, generator)
    counts = count_ranks(fitted)
    tuned_on_rest = tune_rank_frequency(fitted, counts, held_out, generator)
    best, drawn = (np.inf, 0.0, 0.0), None
    for width in WIDTHS:
        probabilities, weights = _held_out_probabilities(held_out, tuned_on_rest.table, width)
        drawn = draw_positions(len(weights), generator) if drawn is None else drawn
        probabilities, weights = probabilities[drawn], weights[drawn]
        mix = mixture_weights(probabilities, weights)
        best = min(best, (cross_entropy(probabilities, weights, mix), width, float(mix[0])))
    _, width, share = best
    frequencies = tune_rank_frequency(pairs, counts, held_out, generator)
    return CopyCurrent(frequencies=frequencies, width=width, share=share)


def kernel(num_ranks: int, num_genes: int, width: float) -> Float[ndarray, "rank gene"]:
    """How the mass of each rank is shared out over the genes of the current cell.

    Rows sum to one, those of ranks beyond the current cell's last gene too.
    """
    apart = np.abs(np.arange(num_ranks)[:, None] - np.arange(num_genes)).astype(np.float32)
    apart -= apart.min(axis=1, keepdims=True)
    mass = np.exp(-0.5 * (apart / np.float32(width)) ** 2)
    return mass / mass.sum(axis=1, keepdims=True)


def _held_out_probabilities(
    pairs: CellPairs, table: Float[ndarray, "rank vocab"], width: float
) -> tuple[Float[ndarray, "position component"], Float[ndarray, " position"]]:
    """What copying and the frequencies gave the gene at each position of the next cells."""
    probabilities, weights = [], []
    for target in pairs.targets():
        rank_in_current = np.full(pairs.vocab_size, -1)
        rank_in_current[target.context] = np.arange(len(target.context))
        mass = kernel(pairs.max_genes, len(target.context), width) if len(target.context) else None
        for genes, weight in zip(target.next_cells, target.weights, strict=True):
            ranks, sources = np.arange(len(genes)), rank_in_current[genes]
            copied = np.zeros(len(genes))
            if mass is not None:
                copied = np.where(sources >= 0, mass[ranks, sources], 0.0)
            probabilities.append(np.stack([copied, table[ranks, genes]], axis=1))
            weights.append(np.full(len(genes), weight))
    return np.concatenate(probabilities).astype(np.float64), np.concatenate(weights)
