"""The successors of the training cells that are most similar to the current cell.

The genes of those successors are counted at each rank, smoothed over ranks, and mixed with the rank
frequencies and the uniform distribution. The number of axes in which cells are compared, the number
of similar cells, the width and the weights are chosen together, in folds of the training cells. No
network, and a strong one: a model that does not beat this has learned less than the training data
hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.profile_space import (
    NUMBERS_OF_AXES,
    ProfileSpace,
    numbers_of_axes,
)
from bionemo.geneformer_t.evaluate.baselines.rank_counts import RankFrequency
from bionemo.geneformer_t.evaluate.baselines.training_folds import TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.knn_fit import KnnChoice, Query, fit_knn, index_of
from bionemo.geneformer_t.model.successor_index import SuccessorIndex, add_found


@dataclass(frozen=True, kw_only=True)
class KnnSuccessors:
    """A predictor that finds similar training cells."""

    space: ProfileSpace
    index: SuccessorIndex
    frequencies: RankFrequency
    chosen: KnnChoice[int]
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


def fit_knn_successors(training: TrainingPairs, _rng: np.random.Generator) -> KnnSuccessors:
    """Choose axes, number, width and weights in the folds, then index all pairs."""
    return _fit(training, [fold.fitted for fold in training.folds], training.all)


def fit_knn_drawn(training: TrainingPairs, _rng: np.random.Generator) -> KnnSuccessors:
    """The same with next cells that are drawn anew, as the model learned from them."""
    drawn = [fold.drawn for fold in training.folds if fold.drawn is not None]
    assert training.all_drawn is not None
    return _fit(training, drawn, training.all_drawn)


def _fit(training: TrainingPairs, fitted: Sequence[CellPairs], every: CellPairs) -> KnnSuccessors:
    """Look up in the pairs that are fitted in each fold, and in the end in all of them."""
    indexed = [index_by_profile(pairs, NUMBERS_OF_AXES[-1]) for pairs in fitted]
    tried = numbers_of_axes(min(len(space.axes) for space, _ in indexed))
    queries = []
    for fold, pairs, (space, index) in zip(training.folds, fitted, indexed, strict=True):
        indices = {number: replace(index, points=index.points[:, :number]) for number in tried}
        place_of = {int(cell): place for place, cell in enumerate(pairs.cells)}
        points = space.points([cell.target.context for cell in fold.held_out])
        for cell, point in zip(fold.held_out, points, strict=True):
            uniform = np.full(len(cell.ranks), 1 / len(training.all.gene_ids))
            queries.append(
                Query(
                    searches={number: (indices[number], point[:number]) for number in tried},
                    itself=place_of.get(cell.target.cell),
                    ranks=cell.ranks,
                    genes=cell.genes,
                    weights=cell.weights,
                    others=np.stack([cell.frequency, uniform], axis=1),
                )
            )
    chosen = fit_knn(queries)
    space, index = index_by_profile(every, chosen.space)
    return KnnSuccessors(
        space=space,
        index=index,
        frequencies=training.frequencies,
        chosen=chosen,
        gene_ids=training.all.gene_ids,
    )


def index_by_profile(pairs: CellPairs, num_axes: int) -> tuple[ProfileSpace, SuccessorIndex]:
    """All current cells of the pairs in a space of their own."""
    targets = list(pairs.targets())
    contexts = [target.context for target in targets]
    space = ProfileSpace.fit(contexts, pairs.max_genes, pairs.vocab_size, num_axes)
    return space, index_of(pairs, targets, space.points(contexts))
