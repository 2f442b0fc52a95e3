"""Change and direction beside partners: zero where there is nothing to know, and its intervals."""

from itertools import permutations

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.partners import (
    Partners,
    excess_interval,
    excess_of,
    excesses,
    groups_of,
    links_of,
)
from bionemo.geneformer_t.evaluate.scores.expression_change import change_correlation
from bionemo.geneformer_t.evaluate.scores.profiles import PairProfiles, cell_profiles
from bionemo.geneformer_t.evaluate.scores.step_direction import cosines
from bionemo.geneformer_t.evaluate.units import Units
from bionemo.geneformer_t.graph import NeighborGraph

NUM_RANKS, GENES, SPECIALS = 12, 30, 5
VOCAB = GENES + SPECIALS
AXES = np.linalg.qr(np.random.default_rng(5).normal(size=(VOCAB, 6)))[0].T
SCORES = {
    "change": change_correlation,
    "direction": lambda p, c, f: cosines((p - c) @ AXES.T, (f - c) @ AXES.T),
}


def test_partners_are_others_of_the_same_time_and_cluster() -> None:
    rng = np.random.default_rng(0)
    times, clusters = np.repeat([0.0, 1.0], 30), np.tile(["a", "b", "b"], 20)
    found = Partners.of(60, rng, times, clusters).of_cell
    for partner in found:
        assert sorted(partner) == list(range(60))
        assert (partner != np.arange(60)).all()
        assert (times[partner] == times).all()
        assert (clusters[partner] == clusters).all()
    assert Partners.of(1, rng).of_cell.shape == (0, 1)


def drawn_graph(
    number: int, degree: int, rng: np.random.Generator
) -> tuple[NeighborGraph, np.ndarray]:
    """Each cell is followed by some of the others, and these as rows."""
    following = np.array(
        [rng.choice(np.delete(np.arange(number), i), degree, replace=False) for i in range(number)]
    )
    edges = np.ones(following.size), (np.repeat(np.arange(number), degree), following.ravel())
    graph, _ = NeighborGraph.from_matrix(sp.coo_array(edges, shape=(number, number)))
    return graph, following


def links(graph: NeighborGraph, genes: list[np.ndarray] | None = None) -> sp.csr_array:
    encode = (lambda _: np.arange(SPECIALS, VOCAB)) if genes is None else genes.__getitem__
    return links_of(
        CellPairs.from_graph(
            graph, encode=encode, max_genes=NUM_RANKS, gene_ids=np.arange(SPECIALS, VOCAB),
            vocab_size=VOCAB,
        )
    )  # fmt: skip


def test_links_are_edges_between_current_cells_in_any_direction() -> None:
    """Cells 1, 3 and 4 are current ones; 0 and 2 only follow."""
    rows, columns = [1, 1, 3, 4, 4], [0, 3, 2, 2, 1]
    graph, _ = NeighborGraph.from_matrix(sp.coo_array((np.ones(5), (rows, columns)), shape=(5, 5)))
    found = links(graph).toarray() != 0
    assert found.tolist() == [[False, True, True], [True, False, False], [True, False, False]]


def test_partners_follow_no_cell_that_they_stand_for_and_precede_none() -> None:
    rng = np.random.default_rng(0)
    graph, _ = drawn_graph(60, 5, rng)
    edges, clusters = links(graph), np.tile(["a", "b", "b"], 20)
    for _ in range(10):
        partners = Partners.of(60, rng, None, clusters, edges)
        assert partners.linked == 0
        for partner in partners.of_cell:
            assert sorted(partner) == list(range(60))
            assert (partner != np.arange(60)).all()
            assert (clusters[partner] == clusters).all()
            assert not edges[np.arange(60), partner].any()
    assert Partners.of(60, rng, None, clusters).linked == 0


def test_where_all_are_linked_that_is_said() -> None:
    everybody = sp.csr_array(1.0 - np.eye(6))
    partners = Partners.of(6, np.random.default_rng(0), links=everybody)
    assert partners.linked == 1
    assert all(sorted(partner) == list(range(6)) for partner in partners.of_cell)
    apart = sp.csr_array(np.kron(np.eye(2), np.ones((3, 3))))
    assert Partners.of(6, np.random.default_rng(0), links=apart).linked == 0


def test_cells_follow_each_other_in_time_where_all_times_differ() -> None:
    times = np.random.default_rng(0).permutation(25).astype(float)
    group = groups_of(25, times, np.full(25, "a"))
    assert np.bincount(group)[np.unique(group)].tolist() == [10, 15]
    assert times[group == group[times.argmin()]].max() < 10


def test_nobody_is_alone() -> None:
    group = groups_of(4, None, np.array(["a", "b", "b", "b"]))
    assert len(np.unique(group)) == 1
    group = groups_of(5, None, np.array(["a", "b", "b", "b", "c"]))
    assert group[0] == group[4] != group[1]


class Cells:
    """Current cells of two clusters with two next cells each, of `num_next` that all share.

    Genes have levels of the cluster; with signal, next cells are like the current cell too.
    """

    def __init__(self, rng, number=60, num_next=50, signal=0.0):
        levels = np.random.default_rng(7).normal(0, 1, (2, GENES))
        cluster = np.arange(number) % 2
        own, noise = rng.normal(size=(number, GENES)), rng.normal(size=(number, GENES))
        of_next = np.arange(num_next) % 2
        there = rng.normal(size=(num_next, GENES))
        likeness = (own @ there.T) + np.where(cluster[:, None] == of_next, 0, -1e6)
        random = rng.random((number, num_next)) + np.where(cluster[:, None] == of_next, 0, -9)
        near = np.argsort(-(likeness if signal else random), axis=1)[:, :2]
        values = np.concatenate(
            [levels[cluster] + own + 0.5 * noise, 1.5 * levels[of_next] + there]
        )
        genes = [np.argsort(-row)[:NUM_RANKS] + SPECIALS for row in values]
        rows = np.repeat(np.arange(number), 2)
        graph, _ = NeighborGraph.from_matrix(
            sp.coo_array(
                (np.ones(2 * number), (rows, number + near.ravel())),
                shape=(number + num_next,) * 2,
            )
        )
        self.pairs = CellPairs.from_graph(
            graph, encode=genes.__getitem__, max_genes=NUM_RANKS,
            gene_ids=np.arange(SPECIALS, VOCAB), vocab_size=VOCAB,
        )  # fmt: skip
        self.profiles = PairProfiles.of(self.pairs, list(self.pairs.targets()), NUM_RANKS)
        self.units = Units.of(self.pairs)
        self.partners = Partners.of(number, rng, None, cluster)

    def predictions(self) -> dict[str, np.ndarray]:
        current, following = self.profiles.dense
        mean = np.tile(following.mean(axis=0), (len(current), 1))
        return {
            "half way": 0.5 * current + 0.5 * mean,
            "away": np.maximum(1.5 * current - 0.5 * mean, 0),
            "mean": mean,
        }

    def excess(self, predicted):
        return excesses(predicted, AXES, self.profiles, self.units, self.partners)


def test_it_is_the_contrast_of_four_scores() -> None:
    cells = Cells(np.random.default_rng(0))
    predicted = cells.predictions()["half way"]
    found, arrays = cells.excess(predicted), (predicted, *cells.profiles.dense)

    def direction(p, c, f):
        return cosines((p - c) @ AXES.T, (f - c) @ AXES.T)

    for row, partner in enumerate(cells.partners.of_cell):
        for measure, score in (("change", change_correlation), ("direction", direction)):
            expected = excess_of(score, arrays, partner)
            np.testing.assert_allclose(found[measure].of_cells[row], expected, atol=1e-5)
            assert found[measure].of_successors[row].mean() == pytest.approx(
                expected.mean(), abs=1e-6
            )


def test_a_prediction_that_ignores_the_cell_has_no_excess() -> None:
    cells = Cells(np.random.default_rng(0), signal=1.0)
    for excess in cells.excess(cells.predictions()["mean"]).values():
        found = excess_interval(excess, cells.partners, cells.units)
        assert found.mean == pytest.approx(0, abs=1e-6)
        assert found.high - found.low < 1e-5


def test_where_successors_depend_on_the_cluster_alone_it_is_zero_and_intervals_hold_that() -> None:
    """Not so the measures themselves, nor permuted predictions or successors alone."""
    rng, held, means, raw, by_predictions = np.random.default_rng(0), [], [], [], []
    for _ in range(60):
        cells = Cells(rng, number=40, num_next=30)
        for name in ("half way", "away"):
            predicted = cells.predictions()[name]
            current, following = cells.profiles.dense
            partner = cells.partners.of_cell[0]
            own = change_correlation(predicted, current, following).mean()
            raw.append(own)
            by_predictions.append(
                own - change_correlation(predicted[partner], current, following).mean()
            )
            for excess in cells.excess(predicted).values():
                found = excess_interval(excess, cells.partners, cells.units)
                means.append(found.mean)
                held.append(found.low <= 0 <= found.high)
    means = np.array(means).reshape(60, -1).mean(axis=1)
    assert abs(means.mean()) < 3 * means.std() / np.sqrt(len(means))
    assert abs(means.mean()) < 0.01
    assert 0.92 <= np.mean(held) <= 1
    half_way, away = np.array(raw).reshape(-1, 2).mean(axis=0)
    assert half_way > 0.5
    assert away < 0
    assert np.array(by_predictions).reshape(-1, 2).mean(axis=0)[0] > 0.02


def test_over_all_orders_of_successors_the_excess_is_exactly_zero() -> None:
    """Of five cells of one group: 120 orders. Permuted predictions alone are not zero."""
    rng = np.random.default_rng(1)
    genes = [rng.permutation(GENES)[:NUM_RANKS] + SPECIALS for _ in range(10)]
    profiles = cell_profiles(genes, NUM_RANKS, VOCAB).toarray()
    current, following = profiles[:5], profiles[5:]
    predicted = 0.5 * current + 0.5 * profiles.mean(axis=0)
    partner = Partners.of(5, rng).of_cell[0]
    for score in SCORES.values():
        orders = [following[list(order)] for order in permutations(range(5))]
        excess = [excess_of(score, (predicted, current, some), partner) for some in orders]
        assert np.abs(np.mean(excess, axis=0)).max() < 1e-7  # 32-bit profiles
        assert np.std(excess) > 0.01
        alone = [
            score(predicted, current, some) - score(predicted[partner], current, some)
            for some in orders
        ]
        assert np.mean(alone) > 0.02


def test_where_any_other_cell_may_follow_it_is_zero_beside_partners_without_links_alone() -> None:
    """Current cells are next cells too, as in a split: no cell follows itself."""
    rng, number, apart, linked = np.random.default_rng(0), 20, [], []
    for _ in range(100):
        values = rng.normal(size=(number, GENES))
        genes = [np.argsort(-row)[:NUM_RANKS] + SPECIALS for row in values]
        current = cell_profiles(genes, NUM_RANKS, VOCAB).toarray()
        graph, rows = drawn_graph(number, 2, rng)
        following, mean = current[rows].mean(axis=1), current.mean(axis=0)
        found: list[list[float]] = [[], []]
        for edges, excesses_found in zip((links(graph, genes), None), found, strict=True):
            (partner, _) = Partners.of(number, rng, links=edges).of_cell
            for predicted in (
                0.5 * current + 0.5 * mean,
                np.maximum(1.5 * current - 0.5 * mean, 0),
            ):
                arrays = predicted, current, following
                excesses_found += [
                    float(excess_of(score, arrays, partner).mean()) for score in SCORES.values()
                ]
        apart.append(found[0])
        linked.append(found[1])
    for values, is_zero in ((np.array(apart), True), (np.array(linked), False)):
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        assert (error < 0.012).all()
        far = values.mean(axis=0) / error
        assert (np.abs(far) < 3).all() if is_zero else (far < -3).all()


def test_where_successors_are_like_their_cell_a_copy_half_way_is_above_its_null() -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(5):
        cells = Cells(rng, number=80, num_next=70, signal=1.0)
        excess = cells.excess(cells.predictions()["half way"])
        found.append(excess_interval(excess["change"], cells.partners, cells.units))
    assert all(interval.mean > 0 for interval in found)
    assert np.mean([interval.verdict == "better" for interval in found]) >= 0.8


def test_gains_are_differences_with_the_same_partners() -> None:
    cells = Cells(np.random.default_rng(0), signal=1.0)
    one, other = (
        cells.excess(cells.predictions()[name])["change"] for name in ("half way", "away")
    )
    gain = excess_interval(one - other, cells.partners, cells.units)
    assert gain.mean == pytest.approx(one.mean - other.mean)
    itself = excess_interval(one - one, cells.partners, cells.units)
    assert (itself.mean, itself.low, itself.high, itself.verdict) == (0, 0, 0, "no better")
