"""The current cell mixed with gene frequencies, as far as held-out cells say so.

A model that is no better than this has learned no change that depends on the cell.
"""

import numpy as np

from bionemo.geneformer_t.evaluate.baselines.copy_current import same_order
from bionemo.geneformer_t.evaluate.baselines.expected_order import (
    ExpectedOrder,
    fit_expected_order,
)
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs


def fit_copy_with_frequencies(training: TrainingPairs, _rng: np.random.Generator) -> ExpectedOrder:
    """Choose in folds how much is copied, and how exactly."""
    return fit_expected_order(training, lambda _pairs: {"as it is": same_order})
