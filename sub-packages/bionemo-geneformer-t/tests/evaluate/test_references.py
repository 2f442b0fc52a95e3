"""Every measure against the library that has it."""

import anndata
import numpy as np
import ot
import pytest
import scanpy as sc
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import cdist
from sklearn.metrics import log_loss, precision_score, top_k_accuracy_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import KNeighborsRegressor

from bionemo.geneformer_t.evaluate.baselines.rank_counts import smooth
from bionemo.geneformer_t.evaluate.scores.expression_change import overlaps, same_directions
from bionemo.geneformer_t.evaluate.scores.population import two_sample_distances, wasserstein
from bionemo.geneformer_t.evaluate.scores.step_direction import NEAREST, cosines, time_of
from bionemo.geneformer_t.evaluate.scores.token_scores import TOP, position_measures


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_cross_entropy_and_hits_are_those_of_scikit_learn(rng) -> None:
    probabilities, genes = rng.dirichlet(np.full(150, 0.3), size=80), rng.integers(150, size=80)
    measures = position_measures(np.log(probabilities), genes).mean(axis=0)
    labels = np.arange(150)
    assert measures[0] == pytest.approx(log_loss(genes, probabilities, labels=labels))
    for column, k in enumerate(TOP, start=1):
        expected = top_k_accuracy_score(genes, probabilities, k=k, labels=labels)
        assert measures[column] == pytest.approx(expected)


def test_the_wasserstein_distance_is_that_of_pot(rng) -> None:
    one, other = rng.normal(size=(60, 5)), rng.normal(0.5, 1.5, size=(60, 5))
    weights, between = np.full(60, 1 / 60), cdist(one, other)
    found = wasserstein(between)[0]
    assert found == pytest.approx(ot.emd2(weights, weights, between))


def test_sinkhorn_comes_down_to_it_from_above(rng) -> None:
    one, other = rng.normal(size=(40, 3)), rng.normal(1, 1, size=(40, 3))
    weights, between = np.full(40, 1 / 40), cdist(one, other)
    exact = wasserstein(between)[0]
    costs = [
        (ot.sinkhorn(weights, weights, between, reg=r, numItermax=20_000) * between).sum()
        for r in (1.0, 0.3, 0.05)
    ]
    assert costs == sorted(costs, reverse=True)
    assert exact <= costs[-1] < exact * 1.05


def test_the_energy_distance_in_several_dimensions_is_a_mean_over_lines(rng) -> None:
    """In d dimensions it is, up to a constant, the mean of those of all projections.

    So the ratio of two energy distances is that of scipy's, averaged over random lines.
    """
    from scipy.stats import energy_distance

    base, near, far = (rng.normal(shift, 1, size=(150, 3)) for shift in (0, 0.5, 1.5))
    mine = [two_sample_distances(base, other, 1.0).values[0] for other in (near, far)]
    lines = rng.normal(size=(3, 400))
    lines /= np.linalg.norm(lines, axis=0)
    theirs = [
        np.mean([energy_distance(base @ line, other @ line) ** 2 for line in lines.T])
        for other in (near, far)
    ]
    # 400 lines leave a few per cent
    assert mine[1] / mine[0] == pytest.approx(theirs[1] / theirs[0], rel=0.1)


def test_overlap_is_the_precision_of_scikit_learn(rng) -> None:
    one, other = rng.random((2, 6, 80))
    for k, found in overlaps(one, other, (5, 20)).items():
        for row in range(6):
            mine, theirs = (
                np.isin(np.arange(80), np.argsort(-values[row])[:k]) for values in (one, other)
            )
            assert found[row] == pytest.approx(precision_score(theirs, mine))


@pytest.mark.filterwarnings("ignore:invalid value encountered in log2")  # fold changes, unused
def test_directions_of_groups_are_those_of_scanpys_differential_expression(rng) -> None:
    """Genes in the order in which they differ, and which way: with equal noise that is the t."""
    shift = np.linspace(-2, 2, 60)
    before, after = rng.normal(size=(300, 60)), rng.normal(size=(300, 60)) + shift
    cells = anndata.AnnData(
        np.concatenate([before, after]), obs={"group": ["now"] * 300 + ["next"] * 300}
    )
    cells.uns["log1p"] = {"base": None}  # the values are no counts
    sc.tl.rank_genes_groups(cells, "group", groups=["next"], reference="now", method="t-test")
    found = sc.get.rank_genes_groups_df(cells, "next")
    scores = found.set_index("names")["scores"].loc[cells.var_names].to_numpy()
    change = (after.mean(axis=0) - before.mean(axis=0))[None]
    assert same_directions(change, scores[None], (20,))[20] == 1
    assert overlaps(np.abs(change), np.abs(scores)[None], (20,))[20] >= 0.9


def test_cosines_and_times_are_those_of_scikit_learn(rng) -> None:
    one, other = rng.normal(size=(2, 20, 4))
    np.testing.assert_allclose(cosines(one, other), np.diag(cosine_similarity(one, other)))
    times = rng.random(20)
    expected = KNeighborsRegressor(NEAREST).fit(other, times).predict(one)
    np.testing.assert_allclose(time_of(one, other, times), expected)


def test_smoothing_is_that_of_scipy_up_to_the_sum_of_each_rank(rng) -> None:
    counts = rng.random((40, 7)).astype(np.float32)
    expected = gaussian_filter1d(counts, 3.0, axis=0, mode="constant", truncate=20)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(smooth(counts, 3.0), expected, rtol=1e-4)
