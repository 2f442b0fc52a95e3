import numpy as np
import pytest
from scipy.stats import entropy

from bionemo.geneformer_t.evaluate.scores.calibration import EDGES, Calibration, calibration


def drawn(probabilities: np.ndarray, claimed: np.ndarray, seed: int) -> Calibration:
    """Cells drawn from some distributions, while others are claimed."""
    rng = np.random.default_rng(seed)
    number = len(probabilities)
    genes = np.array([rng.choice(probabilities.shape[1], p=row) for row in probabilities])
    with np.errstate(divide="ignore"):
        return calibration(np.log(claimed), [genes], [1.0]) if number else Calibration.join([])


def test_true_probabilities_are_calibrated_and_boasts_are_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.full(10, 0.5), size=4000)
    boast = truth**3 / (truth**3).sum(axis=1, keepdims=True)
    assert drawn(truth, truth, 1).expected_error < 0.02
    assert drawn(truth, boast, 1).expected_error > 0.1


def test_entropy_and_cross_entropy_are_means_over_positions() -> None:
    probabilities = np.array([[0.5, 0.5, 0.0], [0.9, 0.05, 0.05]])
    with np.errstate(divide="ignore"):
        found = calibration(np.log(probabilities), [np.array([0, 0])], [1.0])
    assert found.entropy[0] == pytest.approx(np.mean([entropy(row) for row in probabilities]))
    assert found.cross_entropy[0] == pytest.approx(-np.log([0.5, 0.9]).mean())
    assert found.positions.sum() == 2
    assert found.right.sum() == 2


def test_certainty_falls_into_the_last_bin_and_weights_count() -> None:
    with np.errstate(divide="ignore"):
        found = calibration(np.log(np.eye(3)), [np.array([0, 1, 0])], [0.25])
    assert found.positions[-1] == pytest.approx(0.75)
    assert found.right[-1] == pytest.approx(0.5)
    assert EDGES[-1] == 1


def test_entropy_goes_with_error_where_hard_cells_are_known_to_be_hard() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for concentration in np.logspace(-1, 1, 40):
        truth = rng.dirichlet(np.full(10, concentration), size=200)
        parts.append(drawn(truth, truth, 2))
    joined = Calibration.join(parts)
    assert joined.entropy_vs_error > 0.9
    assert joined.positions.sum() == 40 * 200


def test_nothing_scored_is_nothing_known() -> None:
    nothing = Calibration.join([])
    assert np.isnan(nothing.expected_error)
    assert np.isnan(nothing.entropy_vs_error)
