"""Ridge regression from the current cell to the next one, in the space of profiles.

A linear model is what simple methods can do at their best, and often as good as deep ones
(Ahlmann-Eltze, Huber and Anders 2025). The strength of the penalty is chosen by scikit-learn's
leave-one-out formula on the training cells.
"""

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.expected_order import (
    ExpectedOrder,
    Order,
    fit_expected_order,
)
from bionemo.geneformer_t.evaluate.baselines.mean_change import highest
from bionemo.geneformer_t.evaluate.baselines.profile_space import ProfileSpace, mean_next_profiles
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs

PENALTIES = tuple(10.0**power for power in range(-1, 6))


def fit_ridge(training: TrainingPairs, generator: np.random.Generator) -> ExpectedOrder:
    """Regress; choose on held-out next cells how exactly the result is expected."""
    return fit_expected_order(training, generator, _regression)


def _regression(pairs: CellPairs) -> Order:
    from sklearn.linear_model import RidgeCV

    targets = list(pairs.targets())
    current = [target.context for target in targets]
    space = ProfileSpace.fit(current, pairs.max_genes, pairs.vocab_size)
    after = mean_next_profiles(
        [(t.next_cells, t.weights) for t in targets], pairs.max_genes, pairs.vocab_size
    )
    # Targets in a space of their own: next cells hold genes that no current cell has.
    next_space = ProfileSpace.fit(
        [genes for target in targets for genes in target.next_cells],
        pairs.max_genes,
        pairs.vocab_size,
    )
    model = RidgeCV(alphas=PENALTIES).fit(space.points(current), after @ next_space.axes.T)

    def order(context: Int[ndarray, " gene"]) -> Int[ndarray, " expected_gene"]:
        point = np.asarray(model.predict(space.points([context])), dtype=np.float32)
        return highest(next_space.profiles(np.atleast_2d(point))[0], pairs.max_genes)

    return order
