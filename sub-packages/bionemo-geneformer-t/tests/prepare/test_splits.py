"""Splits have the shares asked for and hold every group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.prepare.splits import split_by_cell, split_fractions

SHARES = split_fractions(0.1, 0.1)


def test_shares_are_kept_and_the_generator_decides() -> None:
    split = split_by_cell(1000, SHARES, np.random.default_rng(0))
    names, counts = np.unique(split, return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
        "test": 100, "train": 800, "val": 100,
    }  # fmt: skip
    assert (split == split_by_cell(1000, SHARES, np.random.default_rng(0))).all()
    assert (split != split_by_cell(1000, SHARES, np.random.default_rng(1))).any()


@given(sizes=st.lists(st.integers(3, 60), min_size=1, max_size=5), seed=st.integers(0, 9))
def test_every_split_holds_every_group_that_is_large_enough(sizes: list[int], seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    split = split_by_cell(len(groups), SHARES, np.random.default_rng(seed), groups)
    for group, size in enumerate(sizes):
        members = split[groups == group]
        assert set(members) == {"train", "val", "test"}
        assert abs((members == "test").sum() - 0.1 * size) <= 1


def test_a_share_of_zero_gives_no_split() -> None:
    shares = split_fractions(0.0, 0.2)
    assert set(split_by_cell(10, shares, np.random.default_rng(0))) == {"train", "test"}


def test_too_few_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="2 cells are too few"):
        split_by_cell(2, SHARES, np.random.default_rng(0))


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (-0.1, 0.1), (0.9, 0.9)])
def test_impossible_shares_are_refused(val: float, test: float) -> None:
    with pytest.raises(ValueError, match=r"fractions of the splits|val_fraction"):
        split_fractions(val, test)
