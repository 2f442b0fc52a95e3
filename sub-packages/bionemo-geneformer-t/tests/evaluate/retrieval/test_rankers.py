"""Simple searches are what they say, by brute force; the graph finds its own edges."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.evaluate.baselines.knn_successors import fit_knn_successors
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.retrieval.candidate_search import CandidateSearch, find
from bionemo.geneformer_t.evaluate.retrieval.model_rankers import ModelRankers
from bionemo.geneformer_t.evaluate.retrieval.rankers import (
    DISPLACED,
    NEAREST,
    OF_LOOK_UP,
    TRANSPORT,
    CoupledRanker,
    GraphRanker,
    PointRankers,
    coupling,
)
from bionemo.geneformer_t.fates.candidate_scores import CandidateScorer
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors import optional_packages, time_neighbors
from bionemo.geneformer_t.ragged import Ragged


@pytest.fixture
def rankers(random_split, fitted) -> PointRankers:
    train, test = random_split(0, copy=0.5), random_split(1, copy=0.5)
    return PointRankers(
        fitted(fit_knn_successors, train), CandidateSearch.of(test, np.arange(60)), test
    )


def distances(rankers: PointRankers, points: np.ndarray) -> np.ndarray:
    cells = [rankers.pairs.encode(row)[:6] for row in rankers.search.candidates.tolist()]
    there = rankers.look_up.space.points(cells)
    return -np.linalg.norm(points[:, None] - there[None], axis=2)


def test_nearest_cells_are_those_of_the_same_genes(rankers) -> None:
    contexts = np.array([0, 7, 30])
    scores = rankers.all()[NEAREST](contexts)
    mine = rankers.look_up.space.points(
        [rankers.pairs.encode(int(rankers.search.cells[i]))[:6] for i in contexts]
    )
    np.testing.assert_allclose(scores, distances(rankers, mine), atol=1e-5)
    np.testing.assert_allclose(scores[[0, 1, 2], rankers.search.cells[contexts]], 0, atol=1e-5)


def test_searches_by_similar_cells_start_from_their_mean_successor_or_step(rankers) -> None:
    look_up, context = rankers.look_up, 3
    (point,) = look_up.space.points([rankers.pairs.encode(int(rankers.search.cells[context]))[:6]])
    index = look_up.index
    near = index.nearest(point, look_up.chosen.number)
    total, weight, here = np.zeros_like(point), 0.0, np.zeros_like(point)
    for place in near.tolist():
        here += index.points[place] / len(near)
        for edge in range(index.edge_offsets[place], index.edge_offsets[place + 1]):
            cell, share = index.successors[edge], index.shares[edge]
            genes = index.genes[index.gene_offsets[cell] : index.gene_offsets[cell + 1]]
            total += share * look_up.space.points([genes])[0]
            weight += share
    mean = total / weight
    for name, start in ((OF_LOOK_UP, mean), (DISPLACED, point + mean - here)):
        scores = rankers.all()[name](np.array([context]))
        np.testing.assert_allclose(scores, distances(rankers, start[None]), atol=1e-4)


def test_the_graph_finds_all_of_its_edges(random_split) -> None:
    pairs: CellPairs = random_split(2)
    weights = np.zeros((60, 60))
    weights[pairs.current, pairs.following] = pairs.weights
    graph, _ = NeighborGraph.from_matrix(sp.csr_matrix(weights))
    search = CandidateSearch.of(pairs, np.arange(50))
    assert len(search.candidates) == 60  # all successors are among them
    ((found,),) = find([search], [GraphRanker(graph, search)])
    np.testing.assert_array_equal(found.ranks, 1)


class LengthScorer(CandidateScorer):
    """Scores are numbers of genes; it notes the cells that it is asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.log_mean = np.array([10.0, 20.0])
        self.axes_weight = 2.0

    def along_axes(self, contexts: Ragged, rows: object = None) -> np.ndarray:
        return np.outer(contexts.lengths, [0.0, 0.5])

    def network_scores(self, contexts: Ragged) -> np.ndarray:
        self.asked.append(contexts.lengths.tolist())
        return np.outer(contexts.lengths, [1.0, 2.0])


def test_scores_and_likelihoods_come_from_one_pass() -> None:
    scorer = LengthScorer()
    own = ModelRankers(scorer, Ragged.of([np.arange(n) for n in (3, 5, 7)]))
    for contexts, lengths in ((np.array([0, 2]), [3, 7]), (np.array([1, 2]), [5, 7])):
        expected = np.outer(lengths, [1.0, 2.0])
        with_axes = np.outer(lengths, [1.0, 2.5])
        np.testing.assert_array_equal(own.by_information(contexts), with_axes)
        np.testing.assert_array_equal(own.by_likelihood(contexts), expected + np.array([10, 20]))
        np.testing.assert_array_equal(own.by_axes(contexts), with_axes - expected)
    assert scorer.asked == [[3, 7], [5, 7]]


def test_a_coupling_leads_from_candidates_to_candidates() -> None:
    masses = sp.csr_array(np.array([[0, 0.2, 0.8], [0, 0, 1], [0, 0, 0]]))
    nothing = np.zeros(0, dtype=np.int64)
    search = CandidateSearch(
        cells=np.array([2, 3, 5, 9]), candidates=np.array([2, 5, 7]), current=nothing,
        following=nothing,
    )  # fmt: skip
    scores = CoupledRanker(masses, search)(np.arange(4))
    np.testing.assert_allclose(scores, [[0, 0.2, 0.8], [0] * 3, [0, 0, 1], [0] * 3])


def test_why_nothing_is_coupled_is_told(monkeypatch) -> None:
    points, times = np.zeros((6, 2)), np.repeat([0.0, 1.0], 3)
    monkeypatch.setattr(optional_packages, "is_installed", lambda _: False)
    found, note = coupling(points, times)
    assert found is None
    assert note == (
        "No row of optimal transport between time points: pip install 'bionemo-geneformer-t[ot]'."
    )
    monkeypatch.setattr(optional_packages, "is_installed", lambda _: True)
    monkeypatch.setattr(time_neighbors, "AUTO_PAIRS", 8)
    found, note = coupling(points, times)
    assert found is None
    assert "with up to 3 cells, they are too large" in note


@pytest.mark.slow  # moscot compiles
@pytest.mark.optimal_transport
def test_a_coupling_moves_cells_to_where_they_are_found_later() -> None:
    pytest.importorskip("moscot", reason="pip install 'bionemo-geneformer-t[ot]'")
    points = np.array([[0.0, 0], [9, 0], [0, 9], [0, 1], [9, 1], [0, 10]])
    masses, note = coupling(points, np.repeat([0.0, 1.0], 3))
    assert masses[:3].toarray().argmax(axis=1).tolist() == [3, 4, 5]
    assert masses[3:].nnz == 0
    assert note.startswith(f"{TRANSPORT.capitalize()} is the coupling of moscot")
