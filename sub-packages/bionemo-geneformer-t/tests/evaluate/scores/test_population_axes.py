import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.evaluate.scores.population_axes import halves, principal_axes

NUM_GENES = 300


@pytest.fixture
def cells_of():
    """Cells of three programmes and independent noise."""
    loadings = np.random.default_rng(0).normal(size=(3, NUM_GENES))

    def draw(number: int, rng: np.random.Generator, scale: float = 0.7) -> sp.csr_matrix:
        signal = scale * rng.normal(size=(number, 3)) @ loadings
        return sp.csr_matrix(signal + rng.normal(size=(number, NUM_GENES)))

    return draw


def test_there_are_as_many_axes_as_programmes(cells_of) -> None:
    rng = np.random.default_rng(1)
    axes = principal_axes(cells_of(100, rng), rng)
    assert axes.shape == (3, NUM_GENES)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-4)


def test_noise_bears_one_axis_in_most_draws() -> None:
    rng = np.random.default_rng(0)
    found = [len(principal_axes(sp.csr_matrix(rng.normal(size=(30, 100))), rng)) for _ in range(30)]
    assert np.mean(np.array(found) == 1) > 0.8


def test_cells_without_variation_have_an_axis_too() -> None:
    axes = principal_axes(sp.csr_matrix(np.ones((4, 6))), np.random.default_rng(0))
    assert axes.shape == (1, 6)
    assert np.isfinite(axes).all()


def test_training_validation_and_test_cells_lie_equally_far_out(cells_of) -> None:
    """At 200 cells, axes fitted on training cells push these out; the other half they do not."""
    rng = np.random.default_rng(2)
    lengths, on_fitted = [], []
    for _ in range(10):
        train, val, test = (cells_of(number, rng, 0.3) for number in (200, 60, 60))
        fitted, others = halves(200, rng)
        axes = principal_axes(train[fitted], rng)
        points = [some @ axes.T for some in (train[others], val, test)]
        lengths.append([np.linalg.norm(some, axis=1).mean() for some in points])
        # as before: as many axes as there are, up to 50, on all training cells
        *_, rows = np.linalg.svd(train.toarray(), full_matrices=False)
        on_fitted.append(
            [np.linalg.norm(some @ rows[:50].T, axis=1).mean() for some in (train, val, test)]
        )
    mean = np.mean(lengths, axis=0)
    error = np.std(np.array(lengths) / mean, axis=0) / np.sqrt(len(lengths))
    assert mean / mean.mean() == pytest.approx(np.ones(3), abs=4 * error.max())
    assert 4 * error.max() < 0.15  # narrow enough to tell
    before = np.mean(on_fitted, axis=0)
    assert before[0] > 1.3 * before[1:].max()


def test_halves_are_apart() -> None:
    fitted, others = halves(21, np.random.default_rng(0))
    assert (len(fitted), len(others)) == (10, 11)
    assert np.array_equal(np.union1d(fitted, others), np.arange(21))
