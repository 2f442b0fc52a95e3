"""Groups stay whole; held-out time points bring current cells along, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.prepare.group_splits import split_by_group, split_by_time_point
from bionemo.geneformer_t.prepare.splits import split_fractions

SHARES = split_fractions(0.1, 0.1)
TIMES = np.repeat([0.0, 6, 10, 30, 60], 50)
LABELS = np.array([f"D{time:.0f}" for time in TIMES])


def by_time(seed: int = 0, **named: list[str]) -> np.ndarray:
    return split_by_time_point(TIMES, LABELS, SHARES, np.random.default_rng(seed), named)


@pytest.mark.slow
@given(sizes=st.lists(st.integers(1, 50), min_size=3, max_size=12), seed=st.integers(0, 99))
def test_every_group_is_in_one_split_and_every_split_has_one(sizes: list[int], seed: int) -> None:
    groups = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    split = split_by_group(groups, SHARES, np.random.default_rng(seed))
    assert all(len(set(split[groups == group])) == 1 for group in groups)
    assert set(split) == {"train", "val", "test"}
    assert (split == split_by_group(groups, SHARES, np.random.default_rng(seed))).all()


def test_shares_are_met_about_and_the_seed_decides() -> None:
    groups = np.repeat([f"g{i}" for i in range(40)], 10)
    first, other = (split_by_group(groups, SHARES, np.random.default_rng(s)) for s in (0, 1))
    assert (first != other).any()
    assert (first == "test").sum() == (first == "val").sum() == 40


def test_named_groups_go_where_they_are_named() -> None:
    groups = np.repeat(["a", "b", "c", "d"], 10)
    generator = np.random.default_rng(0)
    split = split_by_group(groups, SHARES, generator, {"test": ["a", "b"]})
    assert set(split[:20]) == {"test"}
    assert set(split[20:]) == {"train", "val"}
    both = split_by_group(groups, SHARES, generator, {"test": ["a"], "val": ["c"]})
    assert both.tolist() == np.repeat(["test", "train", "val", "train"], 10).tolist()


def test_groups_that_cannot_be_divided_so() -> None:
    groups, generator = np.repeat(["a", "b"], 10), np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"2 groups \(a, b\) are too few for the splits"):
        split_by_group(groups, SHARES, generator)
    with pytest.raises(ValueError, match=r"no cell is in 'z'; the groups are a, b"):
        split_by_group(groups, SHARES, generator, {"test": ["z"]})
    with pytest.raises(ValueError, match="held out once"):
        split_by_group(groups, SHARES, generator, {"test": ["a"], "val": ["a"]})
    with pytest.raises(ValueError, match="left to train on once a, b"):
        split_by_group(groups, SHARES, generator, {"test": ["a"], "val": ["b"]})


def test_a_held_out_time_point_takes_current_cells_along() -> None:
    split = by_time(test=["D30"])
    assert set(split[TIMES == 30]) == {"test"}
    assert (split[TIMES == 10] == "test").sum() == 5
    assert not (split[np.isin(TIMES, [0, 6, 60])] == "test").any()
    assert (split[TIMES == 0] == "val").sum() == 5
    assert (split == by_time(test=["D30"])).all()
    assert (split != by_time(1, test=["D30"])).any()


def test_of_the_first_time_point_the_next_one_goes_along() -> None:
    split = by_time(test=["D0"])
    assert (split[TIMES == 6] == "test").sum() == 5
    assert not (split[TIMES > 6] == "test").any()


def test_neighboring_time_points_in_one_split_need_one_companion() -> None:
    split = by_time(test=["D10", "D30"])
    assert (split[TIMES == 6] == "test").sum() == 5
    assert set(split[np.isin(TIMES, [10, 30])]) == {"test"}


def test_time_points_held_out_in_two_splits() -> None:
    split = by_time(val=["D10"], test=["D30"])
    assert set(split[TIMES == 30]) == {"test"}
    assert dict(zip(*np.unique(split[TIMES == 10], return_counts=True), strict=True)) == {
        "test": 5, "val": 45,
    }  # fmt: skip
    assert (split[TIMES == 6] == "val").sum() == 5
    assert set(split[TIMES == 0]) == {"train"}


def test_a_held_out_time_point_needs_a_share_of_the_one_before() -> None:
    shares = split_fractions(0.1, 0.0)
    with pytest.raises(ValueError, match="test_fraction is the fraction"):
        split_by_time_point(TIMES, LABELS, shares, np.random.default_rng(0), {"test": ["D30"]})
    with pytest.raises(ValueError, match="the time points are D0, D10"):
        by_time(test=["D7"])
    with pytest.raises(ValueError, match="left to train on"):
        by_time(test=["D0", "D6", "D10"], val=["D30", "D60"])
