import numpy as np

from bionemo.geneformer_t.evaluate.scores.population_deals import NUM_SPLITS, Times, deal_cells


def test_no_cell_is_on_both_sides_and_all_sides_are_equally_large() -> None:
    current, following = np.arange(40), np.arange(10, 50)  # most cells are both
    deals = deal_cells(current, following, 30, np.random.default_rng(0))
    assert len(deals) == NUM_SPLITS
    for deal in deals:
        truth = following[deal.truth]
        assert not np.isin(current[deal.current[0]], truth).any()
        assert not np.isin(following[deal.following[0]], truth).any()
        for samples in (deal.following, deal.current, deal.training):
            assert not np.isin(*samples).any()
            assert {len(rows) for rows in samples} == {15}
        assert deal.same_times is None


def test_the_smallest_population_gives_the_size() -> None:
    deals = deal_cells(np.arange(40), np.arange(40, 80), 15, np.random.default_rng(0))
    assert {len(deal.truth) for deal in deals} == {7}
    assert deal_cells(np.arange(3), np.arange(3, 6), 7, np.random.default_rng(0)) == ()


def test_training_cells_of_the_same_times_have_them() -> None:
    rng = np.random.default_rng(0)
    following, training = np.repeat([1.0, 2.0], [5, 15]), np.repeat([0.0, 1.0, 2.0], 20)
    rows = np.arange(0, 20, 2), np.arange(1, 20, 2)
    found = Times(following=following, training=training, step=1.0).same(rows, rng)
    assert [sorted(training[some]) for some in found] == [sorted(following[some]) for some in rows]
    assert len(set(np.concatenate(found))) == 20


def test_without_training_cells_near_in_time_there_are_none() -> None:
    rng = np.random.default_rng(0)
    rows = np.arange(2), np.arange(2, 4)
    late, early = np.full(5, 3.0), np.arange(50) / 25
    assert Times(following=late, training=early, step=1.0).same(rows, rng) is None
    unknown = np.full(50, np.nan)
    assert Times(following=late, training=unknown, step=1.0).same(rows, rng) is None
    assert Times(following=late, training=late[:3], step=1.0).same(rows, rng) is None
    assert Times(following=late, training=late, step=np.nan).same(rows, rng) is None
