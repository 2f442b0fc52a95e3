"""The next cell has its genes near the ranks at which an expected order has them.

What several baselines have in common: each brings a way to expect the order of the next cell's
genes (the current cell's own order, say). At each rank, mass goes to the gene that is expected
there and, under a Gaussian, to those expected near it; the rest follows the rank frequencies. Width
and fraction are chosen on held-out next cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.rank_frequency import (
    MAX_HELD_OUT,
    WIDTHS,
    RankFrequency,
    TrainingPairs,
    draw_positions,
)
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Targets, positions
from bionemo.geneformer_t.evaluate.mixture import best_mixture

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
    fraction: float
    """Of the mass, which goes to the genes of the expected order."""

    def __call__(
        self, contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """Log-probabilities for each current cell."""
        table = self.frequencies.table[:num_ranks]
        probabilities = np.repeat((1 - self.fraction) * table[None], len(contexts), axis=0)
        for i, context in enumerate(contexts):
            expected = self.order(context)
            if len(expected):
                mass = self.fraction * kernel(num_ranks, len(expected), self.width)
                probabilities[i][:, expected] += mass
            else:
                probabilities[i] = table
        with np.errstate(divide="ignore"):
            return np.log(probabilities)


def fit_expected_order(
    training: TrainingPairs, rng: np.random.Generator, fit_order: Callable[[CellPairs], Order]
) -> ExpectedOrder:
    """Choose width and fraction on held-out next cells, then fit on all of them.

    Args:
        training: The training split.
        rng: Draws held-out positions.
        fit_order: Learns from pairs how to expect an order.
    """
    order_of_fitted = fit_order(training.fitted)
    targets = list(training.held_out.draw_cells(MAX_HELD_OUT, rng).targets())
    expected = [order_of_fitted(target.context) for target in targets]
    table = training.frequencies_of_fitted.table
    weights = np.concatenate([positions(t.next_cells, t.weights)[2] for t in targets])
    drawn = draw_positions(len(weights), rng)
    width, mix, _ = best_mixture(
        ((width, _held_out(targets, expected, table, width)[drawn]) for width in WIDTHS),
        weights[drawn],
    )
    return ExpectedOrder(
        order=fit_order(training.all),
        frequencies=training.frequencies,
        width=width,
        fraction=mix[0],
    )


def kernel(num_ranks: int, num_genes: int, width: float) -> Float[ndarray, "rank gene"]:
    """How the mass of each rank is distributed over the genes of an expected order.

    Rows sum to one, those of ranks beyond the order's last gene too.
    """
    apart = np.abs(np.arange(num_ranks)[:, None] - np.arange(num_genes)).astype(np.float32)
    apart -= apart.min(axis=1, keepdims=True)
    mass = np.exp(-0.5 * (apart / np.float32(width)) ** 2)
    return mass / mass.sum(axis=1, keepdims=True)


def _held_out(
    targets: list[Targets],
    orders: list[Int[ndarray, " _"]],
    table: Float[ndarray, "rank vocab"],
    width: float,
) -> Float[ndarray, "position 2"]:
    """What the expected orders and the frequencies gave the gene at each position."""
    probabilities = []
    for target, expected in zip(targets, orders, strict=True):
        place = np.full(table.shape[1], -1)
        place[expected] = np.arange(len(expected))
        mass = kernel(len(table), len(expected), width) if len(expected) else None
        for genes in target.next_cells:
            ranks, sources = np.arange(len(genes)), place[genes]
            of_order = np.zeros(len(genes))
            if mass is not None:
                of_order = np.where(sources >= 0, mass[ranks, sources], 0.0)
            probabilities.append(np.stack([of_order, table[ranks, genes]], axis=1))
    return np.concatenate(probabilities)
