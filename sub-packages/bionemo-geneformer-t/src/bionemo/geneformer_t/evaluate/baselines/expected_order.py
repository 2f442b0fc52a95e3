"""The next cell has its genes near the ranks at which an expected order has them.

What several baselines have in common: each brings a way to expect the order of the next cell's
genes (the current cell's own order, say). At each rank, mass goes to the gene that is expected
there and, under a Gaussian, to those expected near it; the rest follows the rank frequencies, or
all genes alike. Width and fraction are chosen in folds of the training cells.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.rank_counts import WIDTHS
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.mixture import best_mixture

S = TypeVar("S", bound=Hashable)
"""What names one of several ways to expect an order, such as a number of axes."""
Order: TypeAlias = Callable[[Int[ndarray, " _"]], Int[ndarray, " _"]]
"""The current cell's genes in rank order -> the next cell's genes in the order expected of them."""


@dataclass(frozen=True, kw_only=True)
class ExpectedOrder:
    """A predictor that expects an order."""

    order: Order
    rest: Float[ndarray, "rank vocab"]
    """How the rest of the mass is distributed at each rank."""
    width: float
    """Standard deviation, in ranks, of where a gene is expected."""
    fraction: float
    """Of the mass, which goes to the genes of the expected order."""

    def __call__(
        self, contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """Log-probabilities for each current cell."""
        table = self.rest[:num_ranks]
        probabilities = np.repeat((1 - self.fraction) * table[None], len(contexts), axis=0)
        for i, context in enumerate(contexts):
            expected = self.order(context)
            if len(expected):
                mass = self.fraction * kernel(np.arange(num_ranks), len(expected), self.width)
                probabilities[i][:, expected] += mass
            else:
                probabilities[i] = table
        with np.errstate(divide="ignore"):
            return np.log(probabilities)


def fit_expected_order(
    training: TrainingPairs, fit_orders: Callable[[CellPairs], Mapping[S, Order]]
) -> ExpectedOrder:
    """Choose how an order is expected, the width and the fraction in folds; then fit on all.

    Args:
        training: The training split.
        fit_orders: Learns from pairs how to expect an order: one way for each name.
    """
    found: dict[tuple[S, float], list[ndarray]] = {}
    for fold in training.folds:
        for name, order in fit_orders(fold.fitted).items():
            for cell in fold.held_out:
                place = Places.of(order(cell.target.context), training.all.vocab_size)
                for width in WIDTHS:
                    found.setdefault((name, width), []).append(
                        place.mass_at(cell.ranks, cell.genes, width)
                    )
    held_out = training.held_out()
    frequency = np.concatenate([cell.frequency for cell in held_out])
    weights = np.concatenate([cell.weights for cell in held_out])
    (name, width), mix, _ = best_mixture(
        (
            (settings, np.stack([np.concatenate(mass), frequency], axis=1))
            for settings, mass in found.items()
        ),
        weights,
    )
    return ExpectedOrder(
        order=fit_orders(training.all)[name],
        rest=training.frequencies.table,
        width=width,
        fraction=mix[0],
    )


@dataclass(frozen=True, kw_only=True)
class Places:
    """At which rank each gene is expected."""

    of_gene: Int[ndarray, " vocab"]
    """From 0; -1 where it is not expected."""
    number: int
    """Genes that are expected."""

    @classmethod
    def of(cls, order: Int[ndarray, " expected_gene"], vocab_size: int) -> "Places":
        """The places in an expected order."""
        place = np.full(vocab_size, -1)
        place[order] = np.arange(len(order))
        return cls(of_gene=place, number=len(order))

    def mass_at(
        self, ranks: Int[ndarray, " position"], genes: Int[ndarray, " position"], width: float
    ) -> Float[ndarray, " position"]:
        """The mass of `kernel` at some ranks (from 0) that goes to some genes."""
        if not self.number:
            return np.zeros(len(ranks))
        needed, row = np.unique(ranks, return_inverse=True)
        mass = kernel(needed, self.number, width)
        places = self.of_gene[genes]
        return np.where(places >= 0, mass[row, np.maximum(places, 0)], 0.0)


def kernel(
    ranks: Int[ndarray, " rank"], num_genes: int, width: float
) -> Float[ndarray, "rank gene"]:
    """How the mass of some ranks (from 0) is distributed over the genes of an expected order.

    Rows sum to one, those of ranks beyond the order's last gene too.
    """
    apart = np.abs(ranks[:, None] - np.arange(num_genes)).astype(np.float32)
    apart -= apart.min(axis=1, keepdims=True)
    mass = np.exp(-0.5 * (apart / np.float32(width)) ** 2)
    return mass / mass.sum(axis=1, keepdims=True)
