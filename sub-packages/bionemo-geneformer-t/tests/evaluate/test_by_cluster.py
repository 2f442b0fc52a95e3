import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.evaluate.by_cluster import LEAST_CELLS, best_baseline, cluster_gains
from bionemo.geneformer_t.evaluate.evaluation import BASELINES, evaluate
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts


def guess(contexts, num_ranks):
    return np.full((len(contexts), num_ranks, 25), -np.log(20))


@pytest.fixture
def evaluation(random_split):
    train, test = random_split(0, copy=0.9), random_split(1, copy=0.9)
    return evaluate(guess, test, train, np.random.default_rng(0))


@pytest.mark.slow
def test_the_best_baseline_has_the_lowest_cross_entropy(evaluation) -> None:
    best = best_baseline(evaluation)
    lowest = min(evaluation.rows[name].all.cross_entropy for name in BASELINES)
    assert evaluation.rows[best].all.cross_entropy == lowest


@pytest.mark.slow
def test_gains_of_the_clusters_add_up_to_that_over_all_cells(evaluation) -> None:
    labels = np.repeat(["early", "late"], 30)
    found = cluster_gains(evaluation, labels)
    positions = evaluation.rows[found.baseline].sums.all.positions
    shares = {
        name: positions[labels[:58] == name].sum() / positions.sum() for name in ("early", "late")
    }
    total = sum(shares[one.cluster] * one.gain.mean for one in found.clusters)
    assert total == pytest.approx(evaluation.advantages[found.baseline].all.mean)
    assert sum(one.num_cells for one in found.clusters) == 58
    for one in found.clusters:
        assert one.gain.low <= one.gain.mean <= one.gain.high
        assert one.gain.mean == pytest.approx(one.baseline - one.model)


@pytest.mark.slow
def test_the_largest_gain_stands_first(evaluation) -> None:
    labels = np.array(["a", "b", "c"])[np.arange(60) % 3]
    gains = [one.gain.mean for one in cluster_gains(evaluation, labels).clusters]
    assert gains == sorted(gains, reverse=True)


@pytest.mark.slow
def test_small_clusters_are_named_and_left_out(evaluation) -> None:
    labels = np.where(np.arange(60) < LEAST_CELLS - 1, "few", "many")
    found = cluster_gains(evaluation, labels)
    assert found.left_out == ("few",)
    assert [one.cluster for one in found.clusters] == ["many"]


@pytest.mark.slow
def test_intervals_are_over_the_donors_of_a_cluster(random_split, evaluation) -> None:
    """Two donors are too few for a verdict; one donor leaves the interval over cells."""
    train, test = random_split(0, copy=0.9), random_split(1, copy=0.9)
    labels = np.full(60, "all")
    donors = (None, pd.Categorical(np.repeat(["x", "y"], 30)), pd.Categorical(labels))
    over_cells, over_donors, over_one = (
        cluster_gains(
            evaluate(guess, test, train, np.random.default_rng(0), facts=CellFacts(batch=who)),
            labels,
        ).clusters[0].gain
        for who in donors
    )  # fmt: skip
    assert over_donors.mean == over_cells.mean
    assert over_donors.verdict == "too few"
    assert over_cells.verdict == "worse"
    assert over_one == over_cells
