import numpy as np

from bionemo.geneformer_t.evaluate.bootstrap import mean_interval, resample, resample_groups


def test_whole_groups_are_drawn_together_and_as_many_as_there_are() -> None:
    groups = np.array(["b", "a", "b", "c", "a"])
    times = resample_groups(groups, np.random.default_rng(0), draws=500)
    for name in "abc":
        assert (np.ptp(times[:, groups == name], axis=1) == 0).all()
    first_of_each = times[:, [0, 1, 3]]
    assert (first_of_each.sum(axis=1) == 3).all()
    assert abs(first_of_each.mean() - 1) < 0.01


def test_each_cell_its_own_group_is_the_bootstrap_over_cells() -> None:
    one = resample_groups(np.arange(7), np.random.default_rng(3))
    np.testing.assert_array_equal(one, resample(7, np.random.default_rng(3)))


def test_intervals_over_donors_cover_the_mean_where_those_over_cells_do_not() -> None:
    """Donors differ by 1, their cells by 0.3: 200 cells of 20 donors are 20 numbers, not 200."""
    rng, covered = np.random.default_rng(0), np.zeros(2)
    donors = np.repeat(np.arange(20), 10)
    for _ in range(200):
        values = rng.normal(0, 1, 20)[donors] + rng.normal(0, 0.3, 200)
        for i, times in enumerate((
            resample_groups(donors, rng, draws=300), resample(200, rng, draws=300),
        )):  # fmt: skip
            interval = mean_interval(values, times)
            covered[i] += interval.low <= 0 <= interval.high
    assert covered[0] / 200 > 0.88  # 95 %, less what 20 donors cost, and 2 standard errors
    assert covered[1] / 200 < 0.6
