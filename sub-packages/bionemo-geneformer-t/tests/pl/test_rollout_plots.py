"""Pictures of walks: paths over real cells, areas that are the shares, bars that are the truth."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

import bionemo.geneformer_t as gft


@pytest.fixture
def walked(cells):
    cells.obs["day"] = np.where(cells.obs["cluster"] == "stem", "D0", "D10")
    gft.tl.rollout(cells, "cluster", "stem", num_steps=25, num_walks=200, time_key="day")
    return cells


def test_paths_go_from_cell_to_cell_in_the_colour_of_their_last_cluster(walked) -> None:
    axes = gft.pl.rollout(walked, "paths", num_paths=7)
    (lines,) = [drawn for drawn in axes.collections if isinstance(drawn, LineCollection)]
    held = walked.uns["rollout"]
    rows = walked.obs_names.get_indexer(held["cells"])[held["walks"][:7]]
    np.testing.assert_array_equal(np.array(lines.get_segments()), walked.obsm["X_umap"][rows])
    colors = dict(zip(["stem", "up", *"ABC"], walked.uns["cluster_colors"], strict=True))
    last = walked.obs["cluster"].iloc[rows[:, -1]]
    assert [to_hex(color) for color in lines.get_colors()] == [colors[name] for name in last]
    assert axes.get_title(loc="left") == "7 of 200 walks of 25 steps"


def test_areas_are_shares_of_walks_dashes_exact_ones_and_bars_true_ones(walked) -> None:
    axes = gft.pl.rollout(walked, "composition")
    table = walked.uns["rollout"]["table"]
    table = table[table["measure"] == "cluster"]
    at_last = table[(table["step"] == 25) & (table["source"] == "walks")]["share"].to_numpy()
    areas = [drawn for drawn in axes.collections if len(drawn.get_paths())][:5]
    heights = [np.ptp(v[v[:, 0] == 25, 1]) for v in (a.get_paths()[0].vertices for a in areas)]
    np.testing.assert_allclose(heights, at_last, atol=1e-12)
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    ends = sorted(line.get_ydata()[25] for line in dashed if np.isfinite(line.get_ydata()[25]))
    np.testing.assert_allclose(ends, [0.3, 0.6])
    bars = [patch.get_height() for patch in axes.patches]
    np.testing.assert_allclose(bars, [0, 1 / 3, 0.2, 0.2, 8 / 30])
    assert [text.get_text() for text in axes.texts] == ["D10"]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["C", "B", "A", "up", "stem"]
    assert "then time points" in axes.get_xlabel()


def test_both_panels_are_drawn_and_saved(walked, tmp_path) -> None:
    paths, composition = gft.pl.rollout(walked, title="mine", save=tmp_path / "a.png")
    assert paths.get_title(loc="left") == "mine"
    assert composition.get_title(loc="left") == "Where walks are"
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert not plt.get_fignums()


def test_many_time_points_are_thinned_and_none_is_drawn_without(cells) -> None:
    gft.tl.rollout(cells, "cluster", "stem", time_key="time")
    axes = gft.pl.rollout(cells, "composition")
    assert len(axes.texts) == 12
    assert [axes.texts[0].get_text(), axes.texts[-1].get_text()] == ["1.0", "39.0"]
    gft.tl.rollout(cells, "cluster", "stem")
    axes = gft.pl.rollout(cells, "composition")
    assert not axes.texts
    assert not axes.patches
    assert "time points" not in axes.get_xlabel()


def test_paths_stay_true_when_cells_are_in_another_order(walked) -> None:
    def drawn(cells):
        axes = gft.pl.rollout(cells, "paths")
        return next(d for d in axes.collections if isinstance(d, LineCollection)).get_segments()

    np.testing.assert_array_equal(drawn(walked), drawn(walked[::-1].copy()))
    with pytest.raises(KeyError, match=r"cells of walks in uns\['rollout'\] are not in adata"):
        gft.pl.rollout(walked[:20].copy(), "paths")


def test_what_cannot_be_drawn_is_refused(walked, without_type_checks) -> None:
    with pytest.raises(ValueError, match="panels must be of paths, composition; got 'arrows'"):
        gft.pl.rollout(walked, "arrows")
    with pytest.raises(ValueError, match="num_paths must be at least 1; got 0"):
        gft.pl.rollout(walked, num_paths=0)
    with pytest.raises(KeyError, match=r"uns has no 'there': run gft\.tl\.rollout first; uns has:"):
        gft.pl.rollout(walked, key="there")
    with pytest.raises(ValueError, match=r"the table of gft\.tl\.rollout; it has no source"):
        gft.pl.rollout(walked, key="cluster_colors")
