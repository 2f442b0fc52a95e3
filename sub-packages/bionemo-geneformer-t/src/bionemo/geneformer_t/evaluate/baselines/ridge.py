"""Ridge regression from the current cell to the next one, in the space of profiles.

Linear models are often as good as deep ones (Ahlmann-Eltze, Huber and Anders 2025). The strength
of the penalty is chosen by scikit-learn's leave-one-out formula on the training cells.
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
from bionemo.geneformer_t.evaluate.baselines.profile_space import ProfileSpace
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.scores.profiles import mean_next_profiles

PENALTIES = tuple(10.0**power for power in range(-1, 6))


def fit_ridge(training: TrainingPairs, rng: np.random.Generator) -> ExpectedOrder:
    """Regress; choose on held-out next cells how exactly the result is expected."""
    return fit_expected_order(training, rng, _regression)


def _regression(pairs: CellPairs) -> Order:
    from sklearn.linear_model import RidgeCV

    targets, size = list(pairs.targets()), (pairs.max_genes, pairs.vocab_size)
    current = [target.context for target in targets]
    space = ProfileSpace.fit(current, *size)
    after = mean_next_profiles(targets, *size)
    # next cells hold genes that no current cell has, so they get a space of their own
    next_space = ProfileSpace.fit([genes for t in targets for genes in t.next_cells], *size)
    model = RidgeCV(alphas=PENALTIES).fit(space.points(current), after @ next_space.axes.T)

    def order(context: Int[ndarray, " gene"]) -> Int[ndarray, " expected_gene"]:
        point = np.asarray(model.predict(space.points([context])), dtype=np.float32)
        return highest(next_space.profiles(np.atleast_2d(point))[0], pairs.max_genes)

    return order
