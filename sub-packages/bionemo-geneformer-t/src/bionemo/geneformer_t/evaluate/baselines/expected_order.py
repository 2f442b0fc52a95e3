"""The next cell has its genes near the places that an expected order gives them.

What several baselines share: each brings a way to expect the order of the next cell's genes (the
current cell's own order, say). At each rank, mass goes to the gene that is expected there and,
under a Gaussian, to those expected near it; the rest follows the rank frequencies. Width and share
are chosen on held-out next cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.rank_frequency import (
    MAX_HELD_OUT,
    RankFrequency,
    TrainingPairs,
    draw_positions,
)
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Targets
from bionemo.geneformer_t.evaluate.mixture import cross_entropy, mixture_weights

WIDTHS = (0.25, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Standard deviations in ranks that are tried."""

Order: TypeAlias = Callable[[Int[ndarray, " _"]], Int[ndarray, " _"]]
"""The current cell's genes in rank order -> the next cell's genes in the order expected of them."""


@dataclass(frozen=True, kw_only=True)
class ExpectedOrder:
    """A predictor that expects an order."""

    order: Order
    frequencies: RankFrequency
    """What takes the rest of the mass."""
    width: float
    """Standard deviation, in ranks, of where a gene is expected."""
    share: float
    """Mass that goes to the genes of the expected order."""

    def __call__(
        self, contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """Log-probabilities for each current cell."""
        table = self.frequencies.table[:num_ranks]
        probabilities = np.repeat((1 - self.share) * table[None], len(contexts), axis=0)
        for i, context in enumerate(contexts):
            expected = self.order(context)
            if len(expected):
                mass = self.share * kernel(num_ranks, len(expected), self.width)
                probabilities[i][:, expected] += mass
            else:
                probabilities[i] = table
        with np.errstate(divide="ignore"):
            return np.log(probabilities)


def fit_expected_order(
    training: TrainingPairs, generator: np.random.Generator, fit_order: Callable[[CellPairs], Order]
) -> ExpectedOrder:
    """Choose width and share on held-out next cells, then fit on all of them.

    Args:
        training: The training split.
        generator: Draws what is looked at of what is held out.
        fit_order: Learns from pairs how to expect an order.
    """
    order_of_fitted = fit_order(training.fitted)
    asked = [
        (target, order_of_fitted(target.context))
        for target in training.held_out.draw_cells(MAX_HELD_OUT, generator).targets()
    ]
    table = training.frequencies_of_fitted.table
    best, drawn = (np.inf, 0.0, 0.0), None
    for width in WIDTHS:
        probabilities, weights = _held_out_probabilities(asked, table, width)
        drawn = draw_positions(len(weights), generator) if drawn is None else drawn
        probabilities, weights = probabilities[drawn], weights[drawn]
        mix = mixture_weights(probabilities, weights)
        best = min(best, (cross_entropy(probabilities, weights, mix), width, float(mix[0])))
    _, width, share = best
    return ExpectedOrder(
        order=fit_order(training.all),
        frequencies=training.frequencies,
        width=width,
        share=share,
    )


def kernel(num_ranks: int, num_genes: int, width: float) -> Float[ndarray, "rank gene"]:
    """How the mass of each rank is shared out over the genes of an expected order.

    Rows sum to one, those of ranks beyond the order's last gene too.
    """
    apart = np.abs(np.arange(num_ranks)[:, None] - np.arange(num_genes)).astype(np.float32)
    apart -= apart.min(axis=1, keepdims=True)
    mass = np.exp(-0.5 * (apart / np.float32(width)) ** 2)
    return mass / mass.sum(axis=1, keepdims=True)


def _held_out_probabilities(
    asked: list[tuple[Targets, Int[ndarray, " _"]]],
    table: Float[ndarray, "rank vocab"],
    width: float,
) -> tuple[Float[ndarray, "position component"], Float[ndarray, " position"]]:
    """What the expected orders and the frequencies gave the gene at each position."""
    probabilities, weights = [], []
    for target, expected in asked:
        place = np.full(table.shape[1], -1)
        place[expected] = np.arange(len(expected))
        mass = kernel(len(table), len(expected), width) if len(expected) else None
        for genes, weight in zip(target.next_cells, target.weights, strict=True):
            ranks, sources = np.arange(len(genes)), place[genes]
            of_order = np.zeros(len(genes))
            if mass is not None:
                of_order = np.where(sources >= 0, mass[ranks, sources], 0.0)
            probabilities.append(np.stack([of_order, table[ranks, genes]], axis=1))
            weights.append(np.full(len(genes), weight))
    return np.concatenate(probabilities).astype(np.float64), np.concatenate(weights)
