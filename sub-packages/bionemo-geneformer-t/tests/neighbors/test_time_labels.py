"""Time labels are read as numbers, or refused with the way out."""

import math

import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.neighbors.time_labels import (
    joined_time_values,
    parse_times,
    time_values,
)


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


@pytest.mark.parametrize(
    ("labels", "days"),
    [
        (["GW18", "PCW17"], [112, 119]),  # gestation begins two weeks before conception
        (["18 weeks GA", "PCW16", "20 gestational weeks"], [112, 112, 126]),
        (["gestational week 10", "9 pcw", "GA 12"], [56, 63, 70]),
        (["E12.5", "13 dpc", "embryonic day 14"], [12.5, 13, 14]),
        (["12 wpc", "80 days post conception", "12 pcw"], [84, 80, 84]),
        (["24hpf", "2 dpf", "1 wpf"], [1, 2, 7]),
        (["P7", "PND 10", "2 weeks postnatal"], [7, 10, 14]),
        (["12 hpi", "3 dpi", "1 wpi"], [0.5, 3, 7]),
        (["6 hpa", "1 dpa"], [0.25, 1]),
    ],
)
def test_times_since_the_same_event_are_brought_to_days(
    labels: list[str], days: list[float]
) -> None:
    assert list(parse_times(labels).values()) == pytest.approx(days)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["12.5 dpc", "10 days"], "'days' counts from a start that they do not name"),
        (["20 pcw", "3 months"], "'pcw' counts from conception"),
        (["GW18", "16 weeks"], "'gw' counts from conception"),
        (["5 dpf", "3 dpi"], "'dpi' counts from infection or injury"),
        (["E18", "P2"], "'p' counts from birth"),
        (["E18", "2 weeks postnatal"], "'weeks postnatal' counts from birth"),
        (["D3", "3 dpi"], "'d' counts from a start that they do not name"),
        (["24hpf", "2 days"], "'hpf' counts from conception"),
        (["3 dpa", "3 dpi"], "'dpa' counts from amputation"),
        (["gestational day 12.5", "E12.5"], "day' counts from the last period or mating"),
        (["12 days gestation", "GW18"], "counts from the last period or mating"),
        (["day 3", "stage 4"], "'stage' is no unit that is known"),
        (["10", "3 days"], "'' is no unit that is known"),
    ],
)
def test_times_since_different_events_are_refused(labels: list[str], said: str) -> None:
    with pytest.raises(ValueError, match="cannot be compared") as caught:
        parse_times(labels)
    assert said in str(caught.value)
    assert "--time_order" in str(caught.value)


def column(labels: list[str | None], order: list[object]) -> "pd.Series[str]":
    return pd.Series(pd.Categorical(labels, categories=order, ordered=True))


@pytest.mark.parametrize("order", [["early", "mid", "late"], ["early", "unseen", "mid", "late"]])
def test_an_ordered_categorical_is_an_order_where_labels_are_no_times(order: list[str]) -> None:
    values = time_values(column(["late", "early", None, "mid"], order))
    np.testing.assert_array_equal(values, [2, 0, np.nan, 1])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["E18", "P2", "P10"], [0, 1, 2]),  # times that cannot be compared
        (["D0", "D4", "D10"], [0, 4, 10]),  # times that agree with the order
        (["24h", "1 day", "2 days"], [1, 1, 2]),
        ([0, 2, 10], [0, 2, 10]),
    ],
)
def test_an_ordered_categorical_of_times_keeps_their_distances(
    order: list[object], expected: list[float]
) -> None:
    assert time_values(column(order, order)).tolist() == expected  # type: ignore[arg-type]


def test_an_order_that_contradicts_the_times_is_said() -> None:
    lexical = column(["D0", "D10", "D2"], ["D0", "D10", "D2"])
    with pytest.raises(
        ValueError, match="D0 < D10 < D2, and its labels as times say D0 < D2 < D10"
    ):
        time_values(lexical)
    assert time_values(lexical, ["D0", "D2", "D10"]).tolist() == [0, 2, 1]
    assert time_values(lexical.cat.as_unordered()).tolist() == [0, 10, 2]


def test_a_categorical_without_an_order_gives_none() -> None:
    unordered = pd.Series(pd.Categorical(["late", "early"], categories=["early", "late"]))
    with pytest.raises(ValueError, match=r"cannot read 'early', 'late'.*--time_order"):
        time_values(unordered)


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


def ordered(labels: list[str | None], categories: list[str]) -> pd.Series:
    return pd.Series(pd.Categorical(labels, categories=categories, ordered=True))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["early", "mid", "late"], ["early", "mid", "late"]),
        (["early", "late"], ["early", "mid", "late"]),
        (["early", "mid"], ["mid", "late"]),
    ],
)
def test_ordered_columns_of_several_files_are_one_order(first, second) -> None:
    columns = [ordered([*first, None], first), ordered(second, second)]
    found = joined_time_values(columns)
    places = {"early": 0.0, "mid": 1.0, "late": 2.0}
    np.testing.assert_array_equal(found[0], [*(places[label] for label in first), math.nan])
    np.testing.assert_array_equal(found[1], [places[label] for label in second])


def test_labels_that_an_ordered_column_names_follow_it() -> None:
    columns = [ordered(["b", "a"], ["b", "a"]), pd.Series(["a", "b"])]
    assert [times.tolist() for times in joined_time_values(columns)] == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("first", "second"),
    [(["a", "b"], ["a", "c"]), (["a", "b"], ["b", "a"]), (["a", "b"], ["c", "d"])],
)
def test_columns_that_leave_no_order_are_refused(first, second) -> None:
    with pytest.raises(ValueError, match="give the labels in their order"):
        joined_time_values([ordered(first, first), ordered(second, second)])
    found = joined_time_values(
        [ordered(first, first), ordered(second, second)], sorted({*first, *second})
    )
    assert found[0].tolist() == [sorted({*first, *second}).index(label) for label in first]


def test_times_of_several_files_are_on_one_scale() -> None:
    columns = [pd.Series(["12h", "36h"]), pd.Series(["1 day", "D2"], dtype="category")]
    assert [times.tolist() for times in joined_time_values(columns)] == [[0.5, 1.5], [1, 2]]
    numbers = [pd.Series([1, 2]), pd.Series([2.0, 10.0])]
    assert [times.tolist() for times in joined_time_values(numbers)] == [[1, 2], [2, 10]]
