import numpy as np
import pandas as pd
import pytest

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.pl.label_colors import categories, label_colors
from bionemo.geneformer_t.report.figures.fate_figures import texts

NAMES = ["stem", "up"]


def test_colours_are_those_of_uns_by_category(cells) -> None:
    assert label_colors(cells, "cluster", ["up", "stem"], None) == {
        "up": "#222222", "stem": "#111111"
    }  # fmt: skip


@pytest.mark.parametrize("held", [["#111111"], ["no colour"] * 5, None])
def test_colours_that_do_not_fit_are_not_used(held, cells) -> None:
    cells.uns["cluster_colors"] = held
    assert label_colors(cells, "cluster", NAMES, None) == {"stem": "#4477aa", "up": "#ee6677"}


def test_a_label_has_one_colour_whichever_labels_are_drawn(cells) -> None:
    del cells.uns["cluster_colors"]
    names = list(cells.obs["cluster"].cat.categories)
    every = label_colors(cells, "cluster", names, None)
    few = label_colors(cells, "cluster", names[2:], None)
    assert few == {name: every[name] for name in names[2:]}
    other = label_colors(cells, "cluster", ["no cluster", names[0]], None)
    assert other == {"no cluster": "#4477aa", names[0]: "#ee6677"}


@pytest.mark.parametrize(
    ("palette", "expected"),
    [
        ({"up": "red", "stem": "blue", "more": "black"}, ["#0000ff", "#ff0000"]),
        (["#010203", "k", "w"], ["#010203", "#000000"]),
        ("tab10", ["#1f77b4", "#ff7f0e"]),
        ("viridis", ["#440154", "#fde725"]),
    ],
    ids=["mapping", "list", "few colours", "continuous"],
)
def test_a_palette_comes_first(palette, expected, cells) -> None:
    assert list(label_colors(cells, "cluster", NAMES, palette).values()) == expected


@pytest.mark.parametrize(
    ("palette", "error", "message"),
    [
        ({"up": "red"}, KeyError, "palette has no colour for stem"),
        (["red"], ValueError, "palette has 1 colours for 2 labels"),
        (["red", "reddish"], ValueError, "'reddish' is no colour of Matplotlib"),
        ("virdis", ValueError, "'virdis' is no colour map"),
    ],
)
def test_a_palette_that_does_not_fit_is_refused(palette, error, message, cells) -> None:
    with pytest.raises(error, match=message):
        label_colors(cells, "cluster", NAMES, palette)


def test_a_map_of_few_colours_is_refused_for_more_labels(cells) -> None:
    with pytest.raises(ValueError, match="'tab10' has 10 colours for 11 labels"):
        label_colors(cells, None, [str(i) for i in range(11)], "tab10")


def test_labels_keep_their_order_and_holes(cells) -> None:
    cells.obs["day"] = ["D10", "D2", None, *["D2"] * 37]
    found = categories(cells, "day", "color")
    assert list(found.categories) == ["D2", "D10"]
    assert texts(found)[:4].tolist() == ["D10", "D2", "", "D2"]
    cells.obs["number"] = pd.Categorical(np.arange(40) % 2, categories=[1, 0, 7])
    assert list(categories(cells, "number", "color").categories) == ["1", "0"]


def test_dates_are_labels(cells) -> None:
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(len(cells)) % 3, "D")
    cells.obs["date"] = days
    found = categories(cells, "date", "color")
    assert not found.isna().any()
    assert list(found.categories) == sorted(map(str, days.unique()))
    assert list(found) == list(map(str, days))


@pytest.mark.parametrize("column", [np.nan, None, pd.NaT])
def test_a_column_without_any_label_is_refused(column, cells) -> None:
    cells.obs["nothing"] = pd.Categorical([column] * len(cells), categories=["a"])
    cells.obs["bare"] = np.array([column] * len(cells), dtype=object)
    for key in ("nothing", "bare"):
        with pytest.raises(ValueError, match=rf"color: no cell has a label in obs\['{key}'\]"):
            categories(cells, key, "color")
        with pytest.raises(ValueError, match="cluster_key: no cell has a label"):
            gft.pl.flow(cells, key)
