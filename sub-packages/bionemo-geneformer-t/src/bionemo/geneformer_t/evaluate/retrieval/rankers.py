"""Rankers of candidate successors without a model: what it must beat.

All searches measure distances in the space that the look-up of similar cells chose in folds of the
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
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors import optional_packages, time_neighbors
from bionemo.geneformer_t.neighbors.transport import couplings

NEAREST = "nearest cells"
OF_LOOK_UP = "nearest to the mean successor of similar cells"
DISPLACED = "nearest after the mean step of similar cells"
TEACHER = "the graph itself (the teacher)"
TRANSPORT = "optimal transport between time points"
COUPLED = 100
"""Cells of the next time point that keep the mass they receive from a cell, at most."""


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

        return -cdist(points, self.candidate_points)

    def _of(self, rows: Int[ndarray, " cell"]) -> Float[ndarray, "cell axis"]:
        most = self.pairs.max_genes
        return self.look_up.space.points([self.pairs.encode(int(row))[:most] for row in rows])

    @cached_property
    def _points(self) -> Float[ndarray, "context axis"]:
        return self._of(self.search.cells)

    @cached_property
    def candidate_points(self) -> Float[ndarray, "candidate axis"]:
        """Coordinates of all candidates."""
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


@dataclass(frozen=True)
class CoupledRanker:
    """Candidates by the mass that a coupling of time points moves to them."""

    masses: sp.csr_array
    """Candidates x candidates."""
    search: CandidateSearch

    def __call__(self, contexts: Int[ndarray, " context"]) -> Float[ndarray, "context candidate"]:
        """Masses, 0 where nothing is moved, as from cells that are no candidates."""
        candidates, cells = self.search.candidates, self.search.cells[contexts]
        places = np.minimum(np.searchsorted(candidates, cells), len(candidates) - 1)
        found: ndarray = self.masses[places].toarray()
        found[candidates[places] != cells] = 0
        return found


def coupling(
    points: Float[ndarray, "candidate axis"], times: Float[ndarray, " candidate"]
) -> tuple[sp.csr_array | None, str]:
    """The coupling of consecutive time points by optimal transport, or why there is none.

    Args:
        points: Coordinates of the candidates.
        times: Of each.
    """
    sizes = np.unique(times[np.isfinite(times)], return_counts=True)[1].tolist()
    if not optional_packages.is_installed("moscot"):
        install = optional_packages.install_command("moscot")
        return None, f"No row of optimal transport between time points: {install}."
    if max(now * later for now, later in pairwise(sizes)) > time_neighbors.AUTO_PAIRS:
        return None, (
            f"No row of optimal transport between time points: with up to {max(sizes):,} cells, "
            "they are too large to be coupled in minutes."
        )
    masses, (_, *failed) = couplings(points, times, COUPLED)
    said = (
        f"{TRANSPORT.capitalize()} is the coupling of moscot {optional_packages.version('moscot')} "
        f"on these cells, of which each keeps {COUPLED} later ones at most."
    )
    return masses, " ".join([said, *(f"{note.capitalize()}." for note in failed)])


def random_ranker(search: CandidateSearch, rng: np.random.Generator) -> Ranker:
    """Scores that are drawn at random, other ones in each call."""
    return lambda contexts: rng.random((len(contexts), len(search.candidates)))
