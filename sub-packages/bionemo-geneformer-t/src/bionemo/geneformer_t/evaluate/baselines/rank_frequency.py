"""Gene frequencies at each rank of the training split's next cells.

The current cell is ignored, so beating this is the least that a next-cell model must do.
"""

import numpy as np

from bionemo.geneformer_t.evaluate.baselines.rank_counts import RankFrequency
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs


def fit_rank_frequency(training: TrainingPairs, _rng: np.random.Generator) -> RankFrequency:
    """The frequencies that are tuned already, as other baselines mix them in."""
    return training.frequencies
