import numpy as np

from bionemo.geneformer_t.evaluate.scores.differential_expression import LEAST_CELLS, group_scores


def test_groups_are_scored_by_their_mean_change_and_small_ones_named() -> None:
    rng = np.random.default_rng(0)
    number = 4 * LEAST_CELLS
    labels = np.array(["a"] * (number // 2) + ["b"] * (number // 2 - 3) + ["rare"] * 3)
    current = rng.random((number, 30))
    change = np.where(labels[:, None] == "a", np.arange(30) - 15.0, 15.0 - np.arange(30))
    following = current + change
    perfect = group_scores(following, current, following, labels)
    assert perfect.groups == ("a", "b")
    assert perfect.left_out == ("rare",)
    np.testing.assert_array_equal(perfect.direction[50], 1)
    np.testing.assert_array_equal(perfect.precision[50], 1)
    opposite = group_scores(current - change, current, following, labels)
    np.testing.assert_array_equal(opposite.direction[50], 0)


def test_noise_between_cells_averages_out_of_a_group() -> None:
    rng = np.random.default_rng(0)
    current = rng.random((200, 30))
    truth = np.linspace(-1, 1, 30)
    following = current + truth
    noisy = current + truth + rng.normal(0, 1, current.shape)
    scores = group_scores(noisy, current, following, np.full(200, "all"))
    assert scores.direction[50][0] > 0.9
