"""Every gene alike: the point of reference for all other figures."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.pairs import CellPairs


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """A predictor that knows which tokens are genes and nothing else."""

    log_probs: Float[ndarray, " vocab"]

    def __call__(
        self, contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """The same for every cell and rank."""
        return np.broadcast_to(self.log_probs, (len(contexts), num_ranks, len(self.log_probs)))


def fit_uniform(pairs: CellPairs, _generator: np.random.Generator) -> Uniform:
    """Nothing is fitted; the pairs say which tokens are genes."""
    log_probs = np.full(pairs.vocab_size, -np.inf, dtype=np.float32)
    log_probs[pairs.gene_ids] = -np.log(len(pairs.gene_ids))
    return Uniform(log_probs=log_probs)
