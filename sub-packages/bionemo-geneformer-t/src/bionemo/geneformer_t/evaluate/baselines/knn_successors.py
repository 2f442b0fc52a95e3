"""The successors of the training cells that are most similar to the current cell.

The genes of those successors are counted at each rank, smoothed over ranks, and mixed with the rank
frequencies and the uniform distribution. The number of cells, the width and the weights are chosen
on held-out next cells. No network, and a strong one: a model that does not beat this has learned
less than the training data hold.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.profile_space import ProfileSpace
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import (
    MAX_HELD_OUT,
    RankFrequency,
    TrainingPairs,
)
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Targets
from bionemo.geneformer_t.evaluate.knn_fit import KnnChoice, fit_knn, index_of
from bionemo.geneformer_t.model.successor_index import SuccessorIndex, add_found


@dataclass(frozen=True, kw_only=True)
class KnnSuccessors:
    """A predictor that finds similar training cells."""

    space: ProfileSpace
    index: SuccessorIndex
    frequencies: RankFrequency
    chosen: KnnChoice
    """Among it the weights of the successors, the rank frequencies and the uniform distribution."""
    gene_ids: Int[ndarray, " gene"]

    def __call__(
        self, contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """Log-probabilities for each current cell."""
        chosen, (local, overall, uniform) = self.chosen, self.chosen.weights
        rest = (overall * self.frequencies.table[:num_ranks]).astype(np.float32)
        rest[:, self.gene_ids] += np.float32(uniform / len(self.gene_ids))
        found = np.repeat(rest[None], len(contexts), axis=0)
        for row, point in zip(found, self.space.points(contexts), strict=True):
            places = self.index.nearest(point, chosen.number)
            genes, smoothed = self.index.frequencies(places, num_ranks, chosen.width)
            add_found(row, genes, smoothed, local)
        with np.errstate(divide="ignore"):
            return np.log(found)


def fit_knn_successors(training: TrainingPairs, rng: np.random.Generator) -> KnnSuccessors:
    """Choose number, width and weights on held-out next cells, then index all of them."""
    space, index, cells = _index(training.fitted)
    held_out = list(training.held_out.draw_cells(MAX_HELD_OUT, rng).targets())
    place_of = {int(cell): place for place, cell in enumerate(cells)}
    table, gene_ids = training.frequencies_of_fitted.table, training.all.gene_ids

    def others(_target: Targets, ranks: ndarray, genes: ndarray) -> Float[ndarray, "position 2"]:
        uniform = np.full(len(ranks), 1 / len(gene_ids))
        return np.stack([table[ranks, genes], uniform], axis=1)

    chosen = fit_knn(
        index,
        held_out,
        space.points([target.context for target in held_out]),
        [place_of.get(target.cell) for target in held_out],
        others,
        rng,
    )
    space, index, _ = _index(training.all)
    return KnnSuccessors(
        space=space,
        index=index,
        frequencies=training.frequencies,
        chosen=chosen,
        gene_ids=gene_ids,
    )


def _index(pairs: CellPairs) -> tuple[ProfileSpace, SuccessorIndex, Int[ndarray, " cell"]]:
    """All current cells of the pairs in a space of their own, and their rows."""
    targets = list(pairs.targets())
    contexts = [target.context for target in targets]
    space = ProfileSpace.fit(contexts, pairs.max_genes, pairs.vocab_size)
    return space, index_of(pairs, targets, space.points(contexts)), pairs.cells
