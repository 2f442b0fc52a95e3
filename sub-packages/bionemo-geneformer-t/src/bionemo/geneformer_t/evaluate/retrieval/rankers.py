"""Rankers of candidate successors: a model's scores, and what it must beat.

All baselines measure distances in the space that the look-up of similar cells chose in folds of the
training cells.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.knn_successors import KnnSuccessors
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.retrieval.candidate_search import CandidateSearch, Ranker
from bionemo.geneformer_t.fates.candidate_scores import CandidateScorer
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.ragged import Ragged

NEAREST = "nearest cells"
OF_LOOK_UP = "nearest to the mean successor of similar cells"
DISPLACED = "nearest after the mean step of similar cells"
TEACHER = "the graph itself (the teacher)"


class ModelRankers:
    """Candidates by their scores under a model, relative to other contexts or not, in one pass.

    The scores of the last contexts are kept: both rankers ask for them, one after the other.

    Args:
        scorer: Of all candidates.
        contexts: Genes of all current cells.
    """

    def __init__(self, scorer: CandidateScorer, contexts: Ragged) -> None:
        self._scorer, self._contexts = scorer, contexts
        self._last: tuple[Int[ndarray, " context"], Float[ndarray, "context candidate"]] | None
        self._last = None

    def by_information(
        self, contexts: Int[ndarray, " context"]
    ) -> Float[ndarray, "context candidate"]:
        """Pointwise mutual information, in nats."""
        if self._last is None or not np.array_equal(self._last[0], contexts):
            self._last = contexts, self._scorer.all_scores(self._contexts.take(contexts))
        return self._last[1]

    def by_likelihood(
        self, contexts: Int[ndarray, " context"]
    ) -> Float[ndarray, "context candidate"]:
        """Log-probabilities, which are not relative to other contexts."""
        return self.by_information(contexts) + self._scorer.log_mean


@dataclass(frozen=True)
class PointRankers:
    """Candidates by their distance from points that are computed for each current cell."""

    look_up: KnnSuccessors
    search: CandidateSearch
    pairs: CellPairs

    def all(self) -> dict[str, Ranker]:
        """Name -> ranker."""
        return {
            NEAREST: lambda contexts: self._near(self._points[contexts]),
            OF_LOOK_UP: lambda contexts: self._near(self._similar[0][contexts]),
            DISPLACED: lambda contexts: self._near(self._similar[1][contexts]),
        }

    def _near(self, points: Float[ndarray, "context axis"]) -> Float[ndarray, "context candidate"]:
        from scipy.spatial.distance import cdist

        return -cdist(points, self._candidates)

    def _of(self, rows: Int[ndarray, " cell"]) -> Float[ndarray, "cell axis"]:
        most = self.pairs.max_genes
        return self.look_up.space.points([self.pairs.encode(int(row))[:most] for row in rows])

    @cached_property
    def _points(self) -> Float[ndarray, "context axis"]:
        return self._of(self.search.cells)

    @cached_property
    def _candidates(self) -> Float[ndarray, "candidate axis"]:
        return self._of(self.search.candidates)

    @cached_property
    def _similar(self) -> tuple[Float[ndarray, "context axis"], Float[ndarray, "context axis"]]:
        """The mean successor of similar training cells, and the point after their mean step."""
        index, number = self.look_up.index, self.look_up.chosen.number
        bounds = index.gene_offsets
        next_points = self.look_up.space.points(
            [index.genes[a:b] for a, b in pairwise(bounds.tolist())]
        )
        means, moved = [], []
        for point in self._points:
            places = index.nearest(point, number)
            cells, weights = index.next_cells(places)
            mean = np.average(next_points[cells], axis=0, weights=weights)
            means.append(mean)
            moved.append(point + mean - index.points[places].mean(axis=0))
        return np.array(means), np.array(moved)


@dataclass(frozen=True)
class GraphRanker:
    """Candidates by the weight of the edge to them."""

    graph: NeighborGraph
    search: CandidateSearch

    def __call__(self, contexts: Int[ndarray, " context"]) -> Float[ndarray, "context candidate"]:
        """Weights of successors, 0 where there is no edge."""
        found: ndarray = self._edges[contexts].toarray()
        return found

    @cached_property
    def _edges(self) -> sp.csr_matrix:
        """Current cells x candidates."""
        return self.graph.to_matrix()[self.search.cells][:, self.search.candidates].tocsr()


def random_ranker(search: CandidateSearch, rng: np.random.Generator) -> Ranker:
    """Scores that are drawn at random, other ones in each call."""
    return lambda contexts: rng.random((len(contexts), len(search.candidates)))
