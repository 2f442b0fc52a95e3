import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.scores.profiles import (
    cell_profiles,
    expected_profiles,
    place,
)


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    return [rng.permutation(np.arange(5, 25))[:8] for _ in range(30)]


def test_a_certain_prediction_has_the_profile_of_the_cell(cells) -> None:
    def certain(contexts, num_ranks):
        log_probs = np.full((len(contexts), num_ranks, 25), -np.inf)
        for one, genes in zip(log_probs, contexts, strict=True):
            one[np.arange(num_ranks), genes[:num_ranks]] = 0
        return log_probs

    expected = expected_profiles(certain, [cells[:20], cells[20:]], 8)
    np.testing.assert_allclose(expected, cell_profiles(cells, 8, 25).toarray())


def test_a_profile_falls_from_one_with_the_rank() -> None:
    (profile,) = cell_profiles([np.array([7, 5])], 4, 10).toarray()
    assert profile[[7, 5]].tolist() == [1, 0.75]
    assert profile.sum() == 1.75


def test_predictions_are_placed_among_the_cells_they_resemble() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 20)
    reference = rng.normal(size=(3, 50))[group] + 0.3 * rng.normal(size=(60, 50))
    coordinates = np.eye(3)[group][:, :2] + 0.01 * rng.normal(size=(60, 2))
    placed = place(0.2 * reference[::20] + 5, reference, coordinates)
    np.testing.assert_allclose(placed, np.eye(3)[:, :2], atol=0.02)
