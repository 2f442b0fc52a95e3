import numpy as np
import pytest

import bionemo.geneformer_t as gft


def test_a_volcano_has_effects_and_p_values_down_to_the_floor(cells) -> None:
    panels = gft.pl.drivers(cells)
    assert [axes.get_title(loc="left") for axes in panels] == ["A", "B", "C"]
    grey, higher, lower = panels[0].collections[:3]
    np.testing.assert_allclose(higher.get_offsets(), [[0.9, 3]])
    np.testing.assert_allclose(lower.get_offsets(), [[-0.5, 3]])
    np.testing.assert_allclose(grey.get_offsets(), [[0.1, -np.log10(0.4)], [-0.05, -np.log10(0.9)]])
    floor = panels[0].lines[0]
    np.testing.assert_allclose(floor.get_ydata(), 3)
    assert panels[0].get_xlabel().splitlines() == [
        "effect",
        "1 higher (blue) and 1 lower (orange) of 4 at q < 0.05",
        "dotted: the least p-value of 999 permutations",
    ]


def test_found_genes_are_named_by_symbols(cells) -> None:
    axes = gft.pl.drivers(cells, "B")
    assert [text.get_text() for text in axes.texts] == ["Alp", "Bet"]
    axes = gft.pl.drivers(cells, "B", fdr=1.0, num_labels=4)
    assert [text.get_text() for text in axes.texts] == ["Alp", "Bet", "Gam", "z"]


def test_the_floor_is_that_of_the_gene_with_most_permutations(cells) -> None:
    cells.uns["fate_drivers"].loc[1, "permutations"] = 9_999
    axes = gft.pl.drivers(cells, "A")
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 4)
    del cells.uns["fate_drivers"]["permutations"]
    axes = gft.pl.drivers(cells, "A")
    assert len(axes.lines) == 1  # at effect 0
    assert "dotted" not in axes.get_xlabel()


def test_without_p_values_effects_are_drawn_with_the_number_of_units(cells) -> None:
    cells.uns["fate_drivers"][["p_value", "fdr"]] = np.nan
    cells.uns["fate_drivers"]["units"] = 3
    axes = gft.pl.drivers(cells, "A")
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.1, -0.05, -0.5]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["Alp", "Gam", "z", "Bet"]
    assert axes.get_xlabel() == "effect; no p-values, there are only 3 units"


def test_a_fate_without_drivers_is_refused(cells) -> None:
    with pytest.raises(KeyError, match=r"no fate 'D'; it has: A, B, C"):
        gft.pl.drivers(cells, "D")
    cells.uns["fate_drivers"] = cells.uns["fate_drivers"].query("fate != 'A'")
    with pytest.raises(KeyError, match="has no drivers of 'A'; name genes"):
        gft.pl.driver_trends(cells, "A")


def curve_of(axes, number: int = 0) -> np.ndarray:
    return axes.lines[number].get_xydata()


def logs_of(cells) -> np.ndarray:
    counts = cells.X.toarray()
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


def test_trends_along_a_fate_are_means_of_cells_alike_in_it(cells) -> None:
    axes = gft.pl.driver_trends(cells, "A", ["w"])
    probability, values = cells.obsm["fates"]["A"].to_numpy(), logs_of(cells)[:, 0]
    expected = [(p, values[probability == p].mean()) for p in (0, 0.3, 0.5, 1)]
    np.testing.assert_allclose(curve_of(axes), expected, rtol=1e-5)
    assert axes.get_title(loc="left") == "Alp"
    assert axes.get_ylabel() == "log(1 + counts per 10,000)"


def test_trends_along_a_column_are_weighted_by_fates(cells) -> None:
    cells.obs["stage"] = np.repeat([1.0, 2.0], 20)
    axes = gft.pl.driver_trends(cells, ["A", "C"], ["x"], along="stage")
    values = logs_of(cells)[:, 1]
    for number, fate in enumerate("AC"):
        weights = cells.obsm["fates"][fate].to_numpy()
        expected = [
            (stage, np.average(values[here], weights=weights[here]))
            for stage, here in ((1.0, slice(20)), (2.0, slice(20, 40)))
        ]
        np.testing.assert_allclose(curve_of(axes, number), expected, rtol=1e-5)
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["A", "C"]


def test_drivers_of_the_fate_are_drawn_where_no_genes_are_named(cells) -> None:
    panels = gft.pl.driver_trends(cells, "B", num_genes=3)
    assert [axes.get_title(loc="left") for axes in panels] == ["Alp", "Bet", "Gam"]


def test_genes_are_found_by_symbol(cells) -> None:
    one, other = gft.pl.driver_trends(cells, "A", ["Bet", "x"])
    np.testing.assert_array_equal(curve_of(one), curve_of(other))
    with pytest.raises(KeyError, match=r"adata\.X has no gene 'Q'; it has 4 such as w, x, y"):
        gft.pl.driver_trends(cells, "A", ["Q"])
    cells.var["feature_name"] = ["S", "S", "T", "U"]
    with pytest.raises(ValueError, match="'S' stands for 2 genes: w, x"):
        gft.pl.driver_trends(cells, "A", ["S"])


def test_values_that_are_no_counts_are_shown_as_they_are(cells) -> None:
    cells.layers["scaled"] = logs_of(cells) - 3
    axes = gft.pl.driver_trends(cells, "A", ["w"], layer="scaled")
    assert axes.get_ylabel() == "layers['scaled']"
    lifted = gft.pl.driver_trends(cells, "A", ["w"])
    np.testing.assert_allclose(curve_of(axes)[:, 1], curve_of(lifted)[:, 1] - 3, rtol=1e-5)
    with pytest.raises(KeyError, match="there is no layer 'none'"):
        gft.pl.driver_trends(cells, "A", ["w"], layer="none")


def test_one_gene_may_be_named_alone_and_along_takes_numbers(cells) -> None:
    assert gft.pl.driver_trends(cells, "A", "w").has_data()
    with pytest.raises(ValueError, match=r"along: obs\['cluster'\] must hold numbers; it holds"):
        gft.pl.driver_trends(cells, "A", "w", along="cluster")


def test_steps_run_from_many_to_few(cells) -> None:
    cells.obs["fate_steps"] = np.arange(40.0)[::-1]
    left, right = gft.pl.driver_trends(cells, "A", ["w"], along="fate_steps").get_xlim()
    assert left > right
