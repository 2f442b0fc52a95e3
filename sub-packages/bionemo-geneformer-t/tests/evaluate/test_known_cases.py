"""Perfect, constant and permuted predictions in every measure that has a best and a worst."""

import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.scores.calibration import Calibration, calibration
from bionemo.geneformer_t.evaluate.scores.differential_expression import group_scores
from bionemo.geneformer_t.evaluate.scores.expression_change import TOP, cell_scores
from bionemo.geneformer_t.evaluate.scores.population import two_sample_distances
from bionemo.geneformer_t.evaluate.scores.step_direction import direction_scores

NUM_CELLS, NUM_GENES = 60, 200


@pytest.fixture
def cells():
    """Current cells, their true successors, and predictions: perfect, constant, permuted.

    Cells are of three kinds that change differently, each in its own way around that.
    """
    rng = np.random.default_rng(0)
    kinds = np.arange(NUM_CELLS) % 3
    current = rng.random((NUM_CELLS, NUM_GENES))
    change = rng.normal(size=(3, NUM_GENES))[kinds] + rng.normal(0, 0.5, (NUM_CELLS, NUM_GENES))
    following = current + change
    predictions = {
        "perfect": following,
        "constant": np.tile(following.mean(axis=0), (NUM_CELLS, 1)),
        "permuted": np.roll(following, 1, axis=0),  # each gets that of another kind
    }
    return kinds.astype(str), current, following, predictions


def test_cells(cells) -> None:
    _, current, following, predictions = cells
    found = {name: cell_scores(made, current, following) for name, made in predictions.items()}
    for name in ("spearman", "delta_pearson", "delta_spearman"):
        perfect, constant, permuted = (
            np.nanmean(getattr(found[case], name)) for case in ("perfect", "constant", "permuted")
        )
        assert perfect == pytest.approx(1)
        assert perfect > constant > permuted, name
    for measure in ("overlap", "precision", "direction"):
        for k in TOP:
            best, _, worst = (np.mean(getattr(found[case], measure)[k]) for case in predictions)
            assert best == 1
            assert worst < best or k >= NUM_GENES, (measure, k)


def test_a_prediction_without_contrast_has_no_order(cells) -> None:
    _, current, following, _ = cells
    flat = np.full_like(current, 0.3)
    assert np.isnan(cell_scores(flat, current, following).spearman).all()


def test_groups(cells) -> None:
    kinds, current, following, predictions = cells
    found = {
        name: group_scores(made, current, following, kinds) for name, made in predictions.items()
    }
    for measure in ("precision", "direction"):
        best, constant, worst = (getattr(found[case], measure)[50].mean() for case in predictions)
        assert best == 1
        assert worst < best
        assert constant < best


def test_direction(cells) -> None:
    _, current, following, predictions = cells
    found = {name: direction_scores(made, current, following) for name, made in predictions.items()}
    perfect, constant, permuted = (found[case].cosine.mean() for case in predictions)
    assert perfect == pytest.approx(1)
    assert perfect > constant > permuted
    assert found["perfect"].closer.all()
    assert found["permuted"].closer.mean() < 0.5


def test_populations_do_not_know_whose_prediction_is_whose_but_miss_their_spread(cells) -> None:
    _, _, following, predictions = cells
    perfect, constant, permuted = (
        two_sample_distances(made, following, 10.0).values for made in predictions.values()
    )
    np.testing.assert_allclose(perfect, permuted, atol=1e-9)
    assert (constant > perfect + 0.01).all()


def test_calibration() -> None:
    rng = np.random.default_rng(0)
    genes = rng.integers(20, size=400)
    certain = np.full((400, 20), -np.inf)
    certain[np.arange(400), genes] = 0
    uniform = np.full((400, 20), -np.log(20))
    perfect, constant, permuted = (
        Calibration.join([calibration(claims, [genes], [1.0])])
        for claims in (certain, uniform, np.roll(certain, 1, axis=0))
    )
    assert perfect.expected_error == 0
    assert constant.expected_error < 0.03  # 1 / 20 is claimed and found, give or take
    assert permuted.expected_error > 0.9
