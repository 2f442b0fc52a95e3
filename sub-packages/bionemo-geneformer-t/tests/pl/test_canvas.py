import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread
from perturbed_forks import small_model, with_perturbation

import bionemo.geneformer_t as gft


def with_rollout(cells):
    gft.tl.rollout(cells, "cluster", num_walks=20)
    return cells


ONE_PANEL = {
    "fate_triangle": gft.pl.fate_triangle,
    "fate_bars": lambda cells, **how: gft.pl.fate_bars(cells, "cluster", **how),
    "rollout": lambda cells, **how: gft.pl.rollout(with_rollout(cells), "paths", **how),
    "transitions": gft.pl.transitions,
    "flow": lambda cells, **how: gft.pl.flow(cells, "cluster", **how),
    "drivers": lambda cells, **how: gft.pl.drivers(cells, "A", **how),
    "driver_trends": lambda cells, **how: gft.pl.driver_trends(cells, "A", ["w"], **how),
    "fates": lambda cells, **how: gft.pl.fates(cells, "A", **how),
    "perturbation_volcano": lambda cells, **how: gft.pl.perturbation_volcano(
        with_perturbation(cells), controls=[], **how
    ),
    "perturbation_clusters": lambda cells, **how: gft.pl.perturbation_clusters(
        with_perturbation(cells), **how
    ),
    "perturbation_fates": lambda cells, **how: gft.pl.perturbation_fates(
        with_perturbation(cells), "Alp", **how
    ),
    "perturbation_trends": lambda cells, **how: gft.pl.perturbation_trends(
        with_perturbation(cells), small_model(), "time", "Alp", **how
    ),
}
"""Each function of pl, asked for one panel."""


def test_every_function_is_tried_here() -> None:
    assert sorted(ONE_PANEL) == gft.pl.__all__ == dir(gft.pl)


@pytest.fixture(params=ONE_PANEL.values(), ids=[*ONE_PANEL])
def draw(request):
    return request.param


def test_axes_come_back_in_a_figure_of_pyplot(draw, cells) -> None:
    axes = draw(cells)
    assert isinstance(axes, Axes)
    assert plt.get_fignums() == [axes.figure.number]


def test_given_axes_are_drawn_on_and_stay_as_current_as_they_were(draw, cells) -> None:
    figure, (one, other) = plt.subplots(1, 2)
    other.set_title("$x^2$")
    plt.sca(other)
    assert draw(cells, ax=one) is one
    assert one.has_data()
    assert not other.has_data()
    assert plt.gca() is other
    assert plt.get_fignums() == [figure.number]
    assert other.title.get_parse_math()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_saved_picture_is_a_file_and_leaves_no_figure(ending, cells, tmp_path) -> None:
    path = tmp_path / "new folder" / f"picture.{ending}"
    assert isinstance(gft.pl.fate_triangle(cells, save=path), Axes)
    assert plt.get_fignums() == []
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(start)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_every_function_saves(draw, cells, tmp_path) -> None:
    draw(cells, save=str(tmp_path / "a.png"))
    assert imread(tmp_path / "a.png").shape[0] > 200
    assert plt.get_fignums() == []


def test_a_file_without_an_ending_is_refused_before_anything_is_drawn(draw, cells) -> None:
    with pytest.raises(ValueError, match=r"save: expected a file name with an ending.*got 'a'"):
        draw(cells, save="a")
    assert plt.get_fignums() == []


def test_what_is_shown_is_closed_and_nothing_comes_back(draw, cells, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.extend(plt.get_fignums()))
    assert draw(cells, show=True) is None
    assert len(shown) == 1
    assert plt.get_fignums() == []


def test_other_things_than_axes_and_other_numbers_are_refused(draw, cells) -> None:
    with pytest.raises(TypeError, match="ax: expected Axes of Matplotlib; got str"):
        draw(cells, ax=["here"])
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match=r"the picture has 1 panel\(s\); got 2 Axes"):
        draw(cells, ax=axes)


def test_no_panels_no_columns_and_no_name_of_a_file_are_refused(cells, without_type_checks) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        gft.pl.driver_trends(cells, "A", [])
    cells.uns["fate_drivers"] = cells.uns["fate_drivers"].iloc[:0]
    with pytest.raises(ValueError, match="nothing to draw"):
        gft.pl.drivers(cells)
    with pytest.raises(ValueError, match="ncols must be at least 1; got 0"):
        gft.pl.fates(cells, ncols=0)
    with pytest.raises(TypeError, match="save: expected a file name; got True"):
        gft.pl.fates(cells, save=True)


def test_several_panels_go_to_as_many_axes(cells) -> None:
    _, axes = plt.subplots(2, 2)
    assert gft.pl.fates(cells, ax=axes) == list(axes.ravel())
    assert [each.get_title(loc="left") for each in axes.ravel()][:3] == ["A", "B", "C"]


def test_a_figure_that_fails_is_closed(cells, monkeypatch) -> None:
    monkeypatch.setattr("bionemo.geneformer_t.pl.fate_plots.draw_triangle", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gft.pl.fate_triangle(cells)
    assert plt.get_fignums() == []


def test_names_are_no_formulas(cells) -> None:
    cells.obs["cluster"] = cells.obs["cluster"].cat.rename_categories({"stem": r"$\frac$"})
    axes = gft.pl.fate_bars(cells, "cluster")
    axes.figure.canvas.draw()
    assert axes.get_yticklabels()[0].get_text() == r"$\frac$ (10)"
