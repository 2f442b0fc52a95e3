"""The simulator's own distribution: proper, drawn as the data were, and not to be beaten."""

from dataclasses import replace

import numpy as np
import pytest
from scored import score_tokens

from bionemo.geneformer_t.evaluate.baselines.knn_successors import fit_knn_successors
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import fit_rank_frequency
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, CellPredictor
from bionemo.geneformer_t.evaluate.simulator_bound import (
    Places,
    draw_places,
    fit_simulator_bound,
)
from bionemo.geneformer_t.simulation import SimulationSettings, Tree, known_successors, simulate

SETTINGS = SimulationSettings(num_cells=400, num_genes=50, counts_per_cell=300.0)
MAX_GENES = 20


def by_rank(counts) -> list[np.ndarray]:
    """Genes of each cell by count: the medians of all are one."""
    dense = counts.toarray()
    orders = np.argsort(-dense, axis=1, kind="stable")
    return [order[: (row > 0).sum()] for order, row in zip(orders, dense, strict=True)]


@pytest.fixture(scope="module")
def simulation():
    return simulate(SETTINGS, np.random.default_rng(0))


@pytest.fixture(scope="module")
def places(simulation) -> Places:
    return Places(
        programmes=simulation.programmes, settings=SETTINGS, branch=simulation.branch,
        pseudotime=simulation.pseudotime, encode=by_rank, max_genes=MAX_GENES,
        gene_ids=np.arange(50), vocab_size=52, seed=7,
    )  # fmt: skip


def pairs_of(counts, successors) -> CellPairs:
    genes = by_rank(counts)
    return CellPairs.from_graph(
        successors, encode=genes.__getitem__, max_genes=MAX_GENES, gene_ids=np.arange(50),
        vocab_size=52,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pairs(simulation) -> CellPairs:
    return pairs_of(simulation.counts, simulation.successors)


@pytest.fixture(scope="module")
def training_pairs(simulation) -> CellPairs:
    """Three times as many other cells of the same programmes."""
    rng, programmes = np.random.default_rng(1), simulation.programmes
    branch = np.arange(1200) % len(programmes.tree.names)
    time = programmes.tree.starts[branch] + rng.random(1200)
    counts = programmes.sample_counts(branch, time, np.full(1200, 300.0), rng)
    graph = known_successors(programmes.tree, branch, time, step=0.3, num_successors=5)
    return pairs_of(counts, graph)


def test_every_row_is_a_distribution_and_every_gene_possible(places, pairs) -> None:
    own = fit_simulator_bound(places, pairs.cells, draws=40)
    probabilities = np.exp(own.of_cells(pairs.cells[:3], MAX_GENES).astype(np.float64))
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-4)
    assert (probabilities[..., :50] > 0).all()
    assert (probabilities[..., 50:] == 0).all()
    again = fit_simulator_bound(places, pairs.cells, draws=40).of_cells(pairs.cells[:1], 5)
    np.testing.assert_array_equal(again[0], own.of_cells(pairs.cells[:1], 5)[0])


@pytest.mark.slow
def test_successors_are_drawn_as_those_of_simulated_splits_are() -> None:
    """A cell near a fork, once by the simulator's own graph and once by the short cut."""
    tree, place, rng = Tree.forked(2), (0, 0.8), np.random.default_rng(0)
    branches, times, weights = draw_places(tree, *place, SETTINGS, 100, 4000, rng)
    ahead = times - place[1]
    assert ahead.min() >= SETTINGS.step / 2
    assert ahead.max() <= 1.5 * SETTINGS.step
    seen = []
    for _ in range(800):
        others = np.arange(100) % len(tree.names)
        start = tree.starts[others] + rng.random(100)
        graph = known_successors(
            tree, np.append(others, place[0]), np.append(start, place[1]),
            step=SETTINGS.step, num_successors=SETTINGS.num_successors,
        )  # fmt: skip
        found, shares = graph.successors(100)
        seen += [
            (others[cell], start[cell], share)
            for cell, share in zip(found, shares / shares.sum(), strict=True)
        ]
    expected = np.array(seen)
    for branch in (1, 2):
        mine = weights[branches == branch].sum() / weights.sum()
        theirs = expected[expected[:, 0] == branch, 2].sum() / expected[:, 2].sum()
        assert mine == pytest.approx(theirs, abs=0.03)  # 3 standard errors of 800 splits
    for power in (1, 2):
        mine = np.average(ahead**power, weights=weights)
        theirs = np.average((expected[:, 1] - place[1]) ** power, weights=expected[:, 2])
        assert mine == pytest.approx(theirs, abs=0.005)


@pytest.mark.slow
def test_no_predictor_that_sees_counts_is_below_it(places, pairs, training_pairs, fitted) -> None:
    own = fit_simulator_bound(places, pairs.cells, draws=300)
    assert 0 < own.excess < 0.2
    some = pairs.draw_cells(80, np.random.default_rng(0))
    bound = score_tokens(CellPredictor(of_cells=own.of_cells), some).all.scores.cross_entropy
    for fit in (fit_knn_successors, fit_rank_frequency):
        found = score_tokens(fitted(fit, training_pairs), some).all.scores.cross_entropy
        assert found > bound


def test_more_draws_bring_it_closer(places, pairs) -> None:
    few, many = (fit_simulator_bound(places, pairs.cells, draws=n) for n in (20, 400))
    assert many.excess < few.excess


def test_a_cell_that_nothing_follows_is_named(places) -> None:
    tree = places.programmes.tree
    with pytest.raises(ValueError, match=r"no cell follows branch A1 at pseudotime 2\.9"):
        draw_places(tree, 3, 2.9, replace(SETTINGS, step=0.5), 100, 10, np.random.default_rng(0))
