"""The next cell is the current cell again, and nothing else.

At each rank, mass goes to the current cell's gene at that rank and, under a Gaussian, to its genes
near it. A gene that the current cell does not rank would be impossible, and the cross-entropy
infinite: so a small fixed fraction of the mass, one in 1,000 to one in 10, goes to all genes alike.
Width and fraction are chosen in folds. In cross-entropy this is a weak baseline wherever many genes
of a next cell are new; it says what persistence alone is worth.
"""

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.expected_order import ExpectedOrder, Places
from bionemo.geneformer_t.evaluate.baselines.rank_counts import WIDTHS
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.mixture import cross_entropy

FLOORS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Fractions of the mass that go to all genes alike; none is so large that it is no copy."""


def fit_copy_current(training: TrainingPairs, _rng: np.random.Generator) -> ExpectedOrder:
    """Choose how exactly ranks are copied, and the fraction for all other genes."""
    held_out, size = training.held_out(), training.all.vocab_size
    places = [Places.of(cell.target.context, size) for cell in held_out]
    weights = np.concatenate([cell.weights for cell in held_out])
    losses = {}
    for width in WIDTHS:
        mass = np.concatenate(
            [
                place.mass_at(cell.ranks, cell.genes, width)
                for place, cell in zip(places, held_out, strict=True)
            ]
        )
        both = np.stack([mass, np.full(len(mass), 1 / len(training.all.gene_ids))], axis=1)
        for floor in FLOORS:
            losses[width, floor] = cross_entropy(both, weights, np.array([1 - floor, floor]))
    width, floor = min(losses, key=lambda settings: losses[settings])
    uniform = np.zeros(size, dtype=np.float32)
    uniform[training.all.gene_ids] = 1 / len(training.all.gene_ids)
    return ExpectedOrder(
        order=same_order,
        rest=np.broadcast_to(uniform, (training.all.max_genes, size)),
        width=width,
        fraction=1 - floor,
    )


def same_order(context: Int[ndarray, " gene"]) -> Int[ndarray, " gene"]:
    """What is expected is the order of the current cell."""
    return context
