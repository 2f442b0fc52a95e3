"""Every cell changes as the average training cell does.

The mean difference between the profiles of next and current training cells is added to the current
cell's profile; the genes in the order of the sum are the order expected of the next cell.
"""

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.expected_order import (
    ExpectedOrder,
    Order,
    fit_expected_order,
)
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.scores.profiles import cell_profiles, mean_next_profiles


def fit_mean_change(training: TrainingPairs, _rng: np.random.Generator) -> ExpectedOrder:
    """Average the changes; choose in folds how exactly they are expected."""
    return fit_expected_order(training, _mean_change)


def _mean_change(pairs: CellPairs) -> dict[str, Order]:
    size = pairs.max_genes, pairs.vocab_size
    targets = list(pairs.targets())
    before = cell_profiles([target.context for target in targets], *size)
    after = mean_next_profiles(targets, *size)
    change = np.asarray((after - before).mean(axis=0)).ravel()

    def order(context: Int[ndarray, " gene"]) -> Int[ndarray, " expected_gene"]:
        profile = change + cell_profiles([context], *size).toarray()[0]
        return highest(profile, pairs.max_genes)

    return {"mean": order}


def highest(profile: ndarray, number: int) -> Int[ndarray, " gene"]:
    """The genes of the positive values of a profile, highest first, up to `number` of them."""
    genes = np.argsort(-profile, kind="stable")[:number]
    return genes[profile[genes] > 0]
