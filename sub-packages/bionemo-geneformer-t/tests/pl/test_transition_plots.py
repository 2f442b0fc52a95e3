import re

import numpy as np
import pytest
import scipy.sparse as sp
from matplotlib.colors import to_hex
from matplotlib.quiver import Quiver

import bionemo.geneformer_t as gft


def arrows_of(axes) -> Quiver:
    return next(drawn for drawn in axes.collections if isinstance(drawn, Quiver))


def test_arrows_lead_along_the_chain(cells) -> None:
    """Along the stem, whose cells all go to the right, every arrow does."""
    arrows = arrows_of(gft.pl.transitions(cells))
    on_stem = arrows.XY[:, 0] < 8
    assert on_stem.sum() >= 5
    assert (arrows.U[on_stem] > 0).all()
    assert (np.abs(arrows.V[on_stem]) < 0.5 * arrows.U[on_stem]).all()


def test_before_the_correction_an_arrow_is_the_mean_step(cells) -> None:
    cells.obsp["T_geneformer_t"] = sp.csr_matrix(np.ones((len(cells), len(cells))) / len(cells))
    raw = arrows_of(gft.pl.transitions(cells, beyond_density=False))
    middle = cells.obsm["X_umap"].mean(axis=0)
    moves = np.column_stack([raw.U, raw.V])
    lengths = np.linalg.norm(moves, axis=1)
    whole = lengths < 0.99 * lengths.max()  # the longest are cut
    np.testing.assert_allclose(moves[whole], (middle - raw.XY)[whole], atol=1e-6)
    corrected = arrows_of(gft.pl.transitions(cells))
    assert len(corrected.U) == 0


def test_the_note_says_how_long_arrows_are_and_of_how_many_cells(cells) -> None:
    label = gft.pl.transitions(cells).get_xlabel()
    assert re.fullmatch(
        r"UMAP; mean steps of 37 cells, at [\d.]+ times their length or less", label
    )


def test_cells_that_stay_or_have_no_transitions_have_no_part_in_arrows(cells) -> None:
    """The ends of A and B stay, and the cells of C are given no transitions."""
    matrix = cells.obsp["T_geneformer_t"].tolil()
    matrix[32:] = 0
    cells.obsp["T_geneformer_t"] = matrix.tocsr()
    assert "of 30 cells" in gft.pl.transitions(cells).get_xlabel()


def test_labels_are_named_on_the_cells_or_in_a_legend(cells) -> None:
    axes = gft.pl.transitions(cells, "cluster")
    assert {text.get_text() for text in axes.texts} == {"stem", "up", "A", "B", "C"}
    assert axes.get_legend() is None
    colors = {to_hex(d.get_facecolor()[0]) for d in axes.collections if d.get_label() in "ABC"}
    assert colors == {"#aa0000", "#00aa00", "#0000aa"}
    axes = gft.pl.transitions(cells, "cluster", legend_loc="right margin")
    assert not axes.texts
    assert len(axes.get_legend().get_texts()) == 5
    axes = gft.pl.transitions(cells, "cluster", legend_loc="none")
    assert axes.get_legend() is None


def test_numbers_have_a_colour_bar(cells) -> None:
    axes = gft.pl.transitions(cells, "time")
    assert axes.collections[1].colorbar.ax.get_ylabel() == "time"


def test_a_place_of_legends_that_is_none_is_refused(cells) -> None:
    with pytest.raises(
        ValueError, match="legend_loc must be one of on data, right margin, none; got '"
    ):
        gft.pl.transitions(cells, "cluster", legend_loc="left")


def test_flow_is_the_fraction_of_each_clusters_steps(cells) -> None:
    axes = gft.pl.flow(cells, "cluster")
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows[0] == "stem"
    assert rows.index("up") < min(rows.index("A"), rows.index("B"))
    image = axes.images[0].get_array()
    percent = {
        (a, b): image[i, j] for i, a in enumerate(rows) for j, b in enumerate(rows) if image[i, j]
    }
    assert percent == pytest.approx(
        {
            ("stem", "stem"): 90, ("stem", "up"): 6, ("stem", "C"): 4, ("up", "up"): 90,
            ("up", "A"): 5, ("up", "B"): 5, ("A", "A"): 100, ("B", "B"): 100, ("C", "C"): 100,
        }
    )  # fmt: skip
    assert sorted(text.get_text() for text in axes.texts) == sorted(
        ["90", "6", "4", "90", "5", "5", "100", "100", "100"]
    )


def test_an_ordered_column_keeps_its_order_in_flow(cells) -> None:
    order = ["C", "B", "A", "up", "stem"]
    cells.obs["cluster"] = cells.obs["cluster"].cat.set_categories(order, ordered=True)
    axes = gft.pl.flow(cells, "cluster", title="Steps")
    assert [label.get_text() for label in axes.get_yticklabels()] == order
    assert axes.get_title(loc="left") == "Steps"
