from dataclasses import replace

import numpy as np
import pytest
from pages import HOSTILE, Page

from bionemo.geneformer_t.evaluate.trends import Curve, GeneTrends
from bionemo.geneformer_t.report.figures.gene_trends import CURVES, trends_figure
from bionemo.geneformer_t.report.page import genes, page

NAMES = [HOSTILE, "Ins2", "Gcg", "Sox9", "Chga"]


@pytest.fixture
def trends() -> GeneTrends:
    rng = np.random.default_rng(0)
    curves = {name: Curve(mean=rng.random((3, 5)), half=rng.random((3, 5))) for name in CURVES}
    return GeneTrends(
        genes=np.arange(5), num_named=2, num_ranks=100, position=np.array([0.0, 1.0, 5.0]),
        num_cells=np.array([10, 20, 10]), num_unplaced=3,
        agreement=np.array([0.5, -0.25, np.nan, 0.0, 1.0]), **curves,
    )  # fmt: skip


def test_each_gene_has_a_panel_with_three_curves(trends) -> None:
    figure = trends_figure(trends, NAMES, "day")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels][1:] == NAMES[1:]
    for gene, axes in enumerate(panels):
        for line, name in zip(axes.lines, CURVES, strict=True):
            assert line.get_ydata() == pytest.approx(getattr(trends, name).mean[:, gene])
            assert line.get_xdata().tolist() == [0.0, 1.0, 5.0]


@pytest.mark.slow
def test_the_section_holds_the_figures_and_says_what_is_left_out(trends) -> None:
    found = Page(page("", "", "", {"genes": genes(trends, NAMES, "day")}))
    shown = "".join(found.text)
    assert f"For {HOSTILE}, Ins2, as asked, and the genes" in shown
    assert "3 current cells without a place are left out" in shown
    weights = np.array([0.25, 0.5, 0.25])
    now, true = weights @ trends.current.mean[:, 3], weights @ trends.following.mean[:, 3]
    row = found.row("Sox9")
    assert row[0] == f"{now:.3f}"
    assert row[1] == f"{true - now:+.3f}".replace("-", "\N{MINUS SIGN}")
    assert found.row("Gcg")[3] == "-"
    assert "script" not in found.tags


def test_time_points_are_called_by_their_names(trends) -> None:
    names = {0.0: "E7", 1.0: "E8", 5.0: "P1"}
    figure = trends_figure(trends, NAMES, "stage", names)
    shown = [label.get_text() for label in figure.axes[4].get_xticklabels()]
    assert shown == ["E7", "E8", "P1"]
    numbers = trends_figure(trends, NAMES, "stage", {0.0: "E7"}).axes[4].get_xticklabels()
    assert "E7" not in [label.get_text() for label in numbers]


def test_two_time_points_have_a_table_and_no_curves(trends) -> None:
    def first(curve: Curve) -> Curve:
        return Curve(mean=curve.mean[:2], half=curve.half[:2])

    two = replace(
        trends, position=trends.position[:2], num_cells=trends.num_cells[:2],
        **{name: first(getattr(trends, name)) for name in CURVES},
    )  # fmt: skip
    found = Page(page("", "", "", {"genes": genes(two, NAMES, "day")}))
    assert "img" not in found.tags
    assert "2 time point(s), too few for curves" in "".join(found.text)
    assert found.row("Sox9")


def test_no_gene_is_said(trends) -> None:
    def none(curve: Curve) -> Curve:
        return Curve(mean=curve.mean[:, :0], half=curve.half[:, :0])

    empty = replace(
        trends, genes=np.zeros(0, dtype=np.int64), num_named=0, agreement=np.zeros(0),
        **{name: none(getattr(trends, name)) for name in CURVES},
    )  # fmt: skip
    found = Page(page("", "", "", {"genes": genes(empty, (), "day")}))
    assert "No gene changes beyond sampling noise." in "".join(found.text)
