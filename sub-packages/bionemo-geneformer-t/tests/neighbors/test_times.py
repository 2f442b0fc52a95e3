"""Time labels are read as numbers, or refused with the way out."""

import math

import pytest

from bionemo.geneformer_t.neighbors.times import parse_times, time_values


@pytest.mark.parametrize(
    ("label", "number"),
    [
        ("D6", 6), ("E7.75", 7.75), ("16 weeks", 16), ("day 10", 10), ("Day_10", 10),
        ("10", 10), ("-2.5", -2.5), ("24hpf", 24), ("GW16", 16), ("d3", 3), ("1e2", 100),
    ],
)  # fmt: skip
def test_one_number_among_words(label: str, number: float) -> None:
    assert parse_times([label]) == {label: number}


def test_labels_in_one_unit_stay_in_it_and_mixed_units_become_days() -> None:
    assert parse_times(["12h", "36 h"]) == {"12h": 12, "36 h": 36}
    assert parse_times(["12h", "2 days", "D3", "1 week"]) == {
        "12h": 0.5, "2 days": 2, "D3": 3, "1 week": 7,
    }  # fmt: skip


def test_labels_without_a_time_are_listed_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"cannot read 'mixed', 'rep1_D2'.*--time_order"):
        parse_times(["D1", "mixed", "rep1_D2"])


def test_a_hyphen_after_a_word_is_ambiguous() -> None:
    with pytest.raises(ValueError, match="D-2"):
        parse_times(["D-2", "D0"])


def test_words_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="mix the words 'e', 'p'"):
        parse_times(["E18", "P2"])


def test_values_of_cells_with_missing_labels() -> None:
    values = time_values(["D6", None, float("nan"), "D0", ""])
    assert values[[0, 3]].tolist() == [6, 0]
    assert [math.isnan(value) for value in values] == [False, True, True, False, True]


def test_an_order_by_hand_gives_places() -> None:
    assert time_values(["N1", "AP", "N1", "BP"], ["AP", "BP", "N1"]).tolist() == [2, 0, 2, 1]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["AP"], "not named: 'BP'"),
        (["AP", "BP", "N9"], "no cell has it: 'N9'"),
        (["AP", "BP", "AP"], "twice"),
    ],
)
def test_an_order_must_match_the_labels(order: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        time_values(["AP", "BP"], order)
