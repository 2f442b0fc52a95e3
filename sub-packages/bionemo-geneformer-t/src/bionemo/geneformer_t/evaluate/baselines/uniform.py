"""The uniform distribution over all genes: the reference of all other scores."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """A predictor that knows only which tokens are genes."""

    log_probs: Float[ndarray, " vocab"]

    @classmethod
    def over(cls, gene_ids: Int[ndarray, " gene"], vocab_size: int) -> "Uniform":
        """Guess among some tokens of a vocabulary."""
        log_probs = np.full(vocab_size, -np.inf, dtype=np.float32)
        log_probs[gene_ids] = -np.log(len(gene_ids))
        return cls(log_probs=log_probs)

    def __call__(
        self, contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """The same for every cell and rank."""
        return np.broadcast_to(self.log_probs, (len(contexts), num_ranks, len(self.log_probs)))


def fit_uniform(training: TrainingPairs, _rng: np.random.Generator) -> Uniform:
    """Nothing is fitted; the pairs say which tokens are genes."""
    return Uniform.over(training.all.gene_ids, training.all.vocab_size)
