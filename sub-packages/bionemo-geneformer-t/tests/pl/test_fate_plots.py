import anndata
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import bionemo.geneformer_t as gft


def points_of(axes, number: int):
    return axes.collections[number]


def texts_of(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_each_fate_has_a_panel_of_its_probabilities(cells) -> None:
    panels = gft.pl.fates(cells)
    assert [axes.get_title(loc="left") for axes in panels] == ["A", "B", "C", "fate entropy"]
    for axes, fate in zip(panels[:3], "ABC", strict=True):
        dots = points_of(axes, 1)
        order = np.argsort(cells.obsm["fates"][fate].to_numpy(), kind="stable")
        np.testing.assert_array_equal(dots.get_offsets(), cells.obsm["X_umap"][order])
        np.testing.assert_allclose(dots.get_array(), cells.obsm["fates"][fate].to_numpy()[order])
        assert dots.get_clim() == (0, 1)
        assert dots.colorbar.ax.get_ylabel() == "fate probability"
    entropy = points_of(panels[3], 1)
    np.testing.assert_allclose(entropy.get_array(), np.sort(cells.obs["fate_entropy"]))
    assert entropy.get_clim() == pytest.approx((0, np.log(3)))


def test_other_columns_of_fates_are_drawn_on_request(cells) -> None:
    cells.obs["fate_reached"], cells.obs["fate_steps"] = 0.25, np.arange(40.0)
    reached, steps = gft.pl.fates(cells, ["fate_reached", "fate_steps"])
    assert points_of(reached, 1).get_clim() == (0, 1)
    np.testing.assert_array_equal(points_of(reached, 1).get_array(), [0.25] * 40)
    assert points_of(steps, 1).get_clim() == (0, 39)
    del cells.obs["fate_steps"]
    with pytest.raises(KeyError, match="color: obs has no column 'fate_steps'"):
        gft.pl.fates(cells, "fate_steps")
    assert len(plt.get_fignums()) == 1


def test_terminal_cells_of_the_fate_are_ringed(cells) -> None:
    axes = gft.pl.fates(cells, "B")
    rings = points_of(axes, 2)
    where = np.flatnonzero(cells.obs["terminal_state"] == "B")
    np.testing.assert_array_equal(rings.get_offsets(), cells.obsm["X_umap"][where])
    assert axes.get_xlabel() == "ringed: 1 terminal cells"


def test_cells_that_reach_no_fate_are_grey_and_counted(cells) -> None:
    cells.obsm["fates"].iloc[:7] = np.nan
    axes = gft.pl.fates(cells, "C")
    np.testing.assert_array_equal(points_of(axes, 0).get_offsets(), cells.obsm["X_umap"][:7])
    assert len(points_of(axes, 1).get_offsets()) == len(cells) - 7
    assert "grey: 7 cells, no fate can be reached" in axes.get_xlabel()


def test_fates_read_from_a_file_look_the_same(cells, tmp_path) -> None:
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = anndata.read_h5ad(tmp_path / "cells.h5ad")
    for one, other in zip(gft.pl.fates(cells), gft.pl.fates(read), strict=True):
        assert one.get_title(loc="left") == other.get_title(loc="left")
        for mine, theirs in zip(one.collections, other.collections, strict=True):
            np.testing.assert_array_equal(mine.get_offsets(), theirs.get_offsets())


def test_an_unknown_fate_is_refused_with_those_that_exist(cells) -> None:
    with pytest.raises(KeyError, match=r"no fate 'D'; the fates are: A, B, C"):
        gft.pl.fates(cells, ["A", "D"])


@pytest.mark.parametrize("draw", [gft.pl.fates, gft.pl.fate_triangle])
def test_without_fates_it_says_what_to_run(draw, cells) -> None:
    del cells.obsm["fates"]
    with pytest.raises(KeyError, match=r"run gft\.tl\.fates first; obsm has: X_umap"):
        draw(cells)
    with pytest.raises(KeyError, match=r"run gft\.tl\.fates first"):
        gft.pl.fate_bars(cells, "cluster")
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("fates", "message"),
    [
        (np.ones((40, 2)) / 2, "a column for each fate; got ndarray"),
        (pd.DataFrame({"A": [2.0] * 40}), "probabilities, between 0 and 1; got values from 2 to 2"),
        (pd.DataFrame({"A": [np.nan] * 40}), "got only NaN"),
        (pd.DataFrame({"A": [0.5] * 40, "B": "0.5"}), "must hold numbers.*the columns 'B'"),
        (pd.DataFrame(np.ones((40, 2)), columns=["A", "A"]), "several are called 'A'"),
    ],
    ids=["array", "range", "nothing", "text", "one name"],
)
def test_fates_that_are_none_are_refused(fates, message, cells) -> None:
    named = fates.set_axis(cells.obs_names) if isinstance(fates, pd.DataFrame) else fates
    cells.obsm["fates"] = named
    with pytest.raises(ValueError, match=message):
        gft.pl.fates(cells)


def test_a_triangle_has_cells_where_their_fates_pull_them(cells) -> None:
    axes = gft.pl.fate_triangle(cells, "cluster")
    assert texts_of(axes) == ["A", "B", "C"]
    drawn = {dots.get_label(): dots for dots in axes.collections}
    assert list(drawn) == ["stem", "up", "A", "B", "C"]
    for corner, name in zip([(0, 0), (1, 0), (0.5, np.sqrt(3) / 2)], "ABC", strict=True):
        place = drawn[name].get_offsets()[0]
        np.testing.assert_allclose(place, corner, atol=1e-12)
    np.testing.assert_allclose(drawn["up"].get_offsets()[0], [0.5, 0], atol=1e-12)
    np.testing.assert_allclose(drawn["stem"].get_offsets()[0], [0.5, 0.2 * np.sqrt(3)], atol=1e-12)
    assert len(drawn["stem"].get_offsets()) == 10


def test_labels_have_the_colours_of_uns_and_a_legend(cells) -> None:
    axes = gft.pl.fate_triangle(cells, "cluster")
    colors = [to_hex(dots.get_facecolor()[0]) for dots in axes.collections]
    assert colors == list(cells.uns["cluster_colors"])
    legend = axes.get_legend()
    assert legend.get_title().get_text() == "cluster"
    assert [text.get_text() for text in legend.get_texts()] == ["stem", "up", "A", "B", "C"]


def test_without_a_column_cells_have_the_colour_of_their_most_probable_fate(cells) -> None:
    axes = gft.pl.fate_triangle(cells)
    drawn = {dots.get_label(): dots for dots in axes.collections}
    assert {name: len(dots.get_offsets()) for name, dots in drawn.items()} == {
        "A": 16, "B": 6, "C": 18
    }  # fmt: skip
    assert to_hex(drawn["C"].get_facecolor()[0]) == "#0000aa"


def test_numbers_have_a_colour_bar(cells) -> None:
    axes = gft.pl.fate_triangle(cells, "time")
    dots = points_of(axes, 1)
    np.testing.assert_array_equal(dots.get_array(), cells.obs["time"])
    assert dots.colorbar.ax.get_ylabel() == "time"


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_triangle_of_other_than_three_fates_is_refused(number, cells) -> None:
    names = [f"fate {i}" for i in range(number)]
    cells.obsm["fates"] = pd.DataFrame(1 / number, index=cells.obs_names, columns=names)
    with pytest.raises(ValueError, match=rf"needs three fates; obsm\['fates'\] has {number}: fate"):
        gft.pl.fate_triangle(cells)


def test_bars_have_the_mean_fates_of_clusters(cells) -> None:
    cells.obsm["fates"].iloc[0] = np.nan
    axes = gft.pl.fate_bars(cells, "cluster")
    widths = np.array([[bar.get_width() for bar in fate] for fate in axes.containers])
    np.testing.assert_allclose(
        widths, [[0.3, 0.5, 1, 0, 0], [0.3, 0.5, 0, 1, 0], [0.4, 0, 0, 0, 1]], atol=1e-12
    )
    lefts = np.array([[bar.get_x() for bar in fate] for fate in axes.containers])
    np.testing.assert_allclose(lefts[:, 0], [0, 0.3, 0.6])
    assert texts_of(axes) == ["30", "50", "100", "30", "50", "100", "40", "100"]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["stem (9)", "up (10)", "A (6)", "B (6)", "C (8)"]
    colors = [to_hex(fate[0].get_facecolor()) for fate in axes.containers]
    assert colors == ["#aa0000", "#00aa00", "#0000aa"]


def test_bars_of_fates_come_last_unless_clusters_have_an_order(cells) -> None:
    def names() -> list[str]:
        axes = gft.pl.fate_bars(cells, "cluster")
        return [label.get_text().split()[0] for label in axes.get_yticklabels()]

    del cells.uns["cluster_colors"]
    mixed = ["A", "stem", "B", "up", "C"]
    cells.obs["cluster"] = cells.obs["cluster"].cat.reorder_categories(mixed)
    assert names() == ["stem", "up", "A", "B", "C"]
    cells.obs["cluster"] = cells.obs["cluster"].cat.as_ordered()
    assert names() == mixed


def test_rows_of_panels_are_of_nearly_the_same_length(cells) -> None:
    cells.obsm["fates"]["D"] = 0.0
    panels = gft.pl.fates(cells)
    assert len(panels) == 5
    spec = panels[0].get_subplotspec().get_gridspec()
    assert (spec.nrows, spec.ncols) == (2, 3)


def test_a_cluster_without_a_way_to_a_fate_says_so(cells) -> None:
    cells.obsm["fates"].iloc[:10] = np.nan
    assert "no cell reaches a fate" in texts_of(gft.pl.fate_bars(cells, "cluster"))


def test_bars_of_one_fate_and_unknown_columns_are_refused(cells) -> None:
    with pytest.raises(KeyError, match="cluster_key: obs has no column 'kind'; it has: cluster"):
        gft.pl.fate_bars(cells, "kind")
    cells.obsm["fates"] = cells.obsm["fates"][["A"]]
    with pytest.raises(ValueError, match=r"at least two fates; .* has one, 'A'"):
        gft.pl.fate_bars(cells, "cluster")
