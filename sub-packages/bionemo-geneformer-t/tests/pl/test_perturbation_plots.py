"""Pictures of perturbations show the numbers of their tables."""

import numpy as np
import pytest
from perturbed_forks import EFFECTS

import bionemo.geneformer_t as gft

MINUS = "\N{MINUS SIGN}"


def offsets(axes) -> list[list[float]]:
    return [part.get_offsets().tolist() for part in axes.collections[:3]]


def test_a_volcano_has_effects_and_their_distance_from_the_null(perturbed) -> None:
    axes = gft.pl.perturbation_volcano(perturbed, "fate A", controls=[])
    grey, above, below = offsets(axes)
    np.testing.assert_allclose(above, [[0.2, 9.5]])
    np.testing.assert_allclose(below, [[-0.1, 5.5]])
    np.testing.assert_allclose(grey, [[0.01, 0.0], [0.02, 0.5]])
    assert axes.get_title(loc="left") == "fate A"
    assert axes.get_xlabel().splitlines() == [
        "effect",
        "1 above (blue) and 1 below (orange) the null, of 4 at q < 0.05",
        "grey lines: mean of the null, and 2 standard deviations",
    ]
    lines = np.array(axes.collections[3].get_segments())
    np.testing.assert_allclose(lines[0], [[-0.03, 9.5], [0.05, 9.5]])
    assert [text.get_text() for text in axes.texts] == ["Alp", "Bet", "Alp+Bet", "Gam"]


def test_there_is_room_for_the_nulls_of_few_genes(perturbed) -> None:
    table = perturbed.uns["perturbation"].assign(effect=0.01, null_sd=0.3, z=0.0, fdr=0.9)
    axes = gft.pl.perturbation_volcano(table, "fate A", controls=[])
    assert axes.get_xlim()[1] > 0.61
    assert axes.get_ylim()[1] > 3


def test_found_genes_alone_are_named_where_there_are_many(perturbed) -> None:
    axes = gft.pl.perturbation_volcano(perturbed, "fate A", controls=[], num_labels=3)
    assert [text.get_text() for text in axes.texts] == ["Alp", "Bet"]


def test_the_first_genes_of_a_screen_are_named_whether_they_are_found_or_not(perturbed) -> None:
    table = perturbed.uns["perturbation"]
    screen = table.assign(screen_effect=table["effect"])
    axes = gft.pl.perturbation_volcano(screen, "fate A", controls=[], num_labels=3)
    assert [text.get_text() for text in axes.texts] == ["Alp", "Bet", "Alp+Bet"]  # found ones first
    assert len(axes.collections[3].get_segments()) == 3  # the null of each
    nothing = screen.assign(fdr=0.9)
    panels = gft.pl.perturbation_volcano(nothing, "fate A", num_labels=2)
    named = [[text.get_text() for text in panel.texts] for panel in panels]
    assert named == [["Alp", "Bet"], ["Alp", "Bet"]]  # the control has largest |z| 1.5 and 0.5


def test_controls_are_beside_the_model_on_the_same_scale(perturbed) -> None:
    table = perturbed.uns["perturbation"]
    model, control = gft.pl.perturbation_volcano(table)
    assert control.get_title(loc="left") == "fate A: shuffled graph"
    assert (model.get_xlim(), model.get_ylim()) == (control.get_xlim(), control.get_ylim())
    grey, above, below = offsets(control)
    np.testing.assert_allclose(grey, [[0.03, 1.5], [0, 0.5], [0.01, 0.1], [0.02, 0.2]])
    assert above == below == []
    assert model.get_xlim()[1] > 0.2
    with pytest.raises(KeyError, match=r"there is no 'random'; the table has: shuffled graph"):
        gft.pl.perturbation_volcano(table, controls=["random"])


def test_what_is_not_there_is_refused_with_what_is(perturbed) -> None:
    with pytest.raises(KeyError, match=r"there is no 'fate D'; the table has: fate A, fate B"):
        gft.pl.perturbation_volcano(perturbed, "fate D")
    with pytest.raises(KeyError, match="'Q' is not among the 4 that were perturbed, such as Alp"):
        gft.pl.perturbation_clusters(perturbed, genes="Q")
    perturbed.uns["perturbation"]["z"] = np.nan
    with pytest.raises(ValueError, match="no gene of the readout 'fate A' has a null"):
        gft.pl.perturbation_volcano(perturbed)
    perturbed.uns["perturbation"] = perturbed.uns["perturbation"].drop(columns="z")
    with pytest.raises(ValueError, match=r"must be the table of gft\.tl\.perturb; it has no z"):
        gft.pl.perturbation_volcano(perturbed)
    del perturbed.uns["perturbation"]
    with pytest.raises(KeyError, match=r"run gft\.tl\.perturb first"):
        gft.pl.perturbation_volcano(perturbed)


def test_a_heat_map_has_the_effects_of_enough_cells(perturbed) -> None:
    axes = gft.pl.perturbation_clusters(perturbed, "fate B", num_genes=3)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Alp", "Bet", "Gam"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["stem", "up"]
    shown = axes.images[0].get_array()
    np.testing.assert_allclose(shown[:, 0], EFFECTS["B"][:3])
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown))[:, 1].all()
    assert [text.get_text() for text in axes.texts] == [
        f"{MINUS}0.10", "n = 4", "+0.10", "n = 4", "+0.00", "n = 4",
    ]  # fmt: skip
    every = gft.pl.perturbation_clusters(perturbed, "fate B", "Alp+Bet", min_cells=1)
    np.testing.assert_allclose(every.images[0].get_array(), [[0.0, 0.1]])
    limits = every.images[0].get_clim()
    assert limits == (-0.1, 0.1)


def test_without_clusters_there_is_no_heat_map(perturbed) -> None:
    perturbed.uns["perturbation_by_cluster"] = perturbed.uns["perturbation_by_cluster"].iloc[:0]
    with pytest.raises(ValueError, match=r"there are no effects by cluster"):
        gft.pl.perturbation_clusters(perturbed)


def test_fates_before_and_after_are_those_of_the_affected_cells(perturbed) -> None:
    panels = gft.pl.perturbation_fates(perturbed, ["Alp", "Gam"])
    assert [axes.get_title(loc="left") for axes in panels] == ["Alp", "Gam"]
    widths = [bar.get_width() for bar in panels[0].patches]
    np.testing.assert_allclose(widths[:3], [0.3, 0.3, 0.4])  # the ten cells of the stem
    np.testing.assert_allclose(widths[3:], [0.5, 0.2, 0.3])
    assert [text.get_text() for text in panels[0].texts] == [
        "+20.0",
        f"{MINUS}10.0",
        f"{MINUS}10.0",
    ]
    assert panels[0].get_xlabel().endswith("coloured after; 10 affected cells")
    del perturbed.obsm["perturbation: fate B"]
    with pytest.raises(KeyError, match="with with_cells=True"):
        gft.pl.perturbation_fates(perturbed, "Alp")
    perturbed.uns["perturbation"]["readout"] = "transition row"
    with pytest.raises(KeyError, match=r"no fate was read; the readouts of .* are: transition row"):
        gft.pl.perturbation_fates(perturbed, "Alp")


def test_cells_without_fates_are_not_drawn_before_and_after(perturbed) -> None:
    perturbed.obsm["fates"].iloc[:4] = np.nan
    axes = gft.pl.perturbation_fates(perturbed, "Alp")
    assert axes.get_xlabel().endswith("coloured after; 6 affected cells")
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches[:3]], [0.3, 0.3, 0.4])
    for fate in EFFECTS:
        perturbed.obsm[f"perturbation: fate {fate}"].iloc[4:, 0] = np.nan
    drawn = gft.pl.perturbation_fates(perturbed, num_genes=2)
    assert [axes.get_title(loc="left") for axes in drawn] == ["Bet", "Gam"]
    with pytest.raises(ValueError, match=r"no cell that reaches a terminal .* by the edit of Alp;"):
        gft.pl.perturbation_fates(perturbed, ["Alp", "Bet"])
    perturbed.obsm["fates"].iloc[:10] = np.nan
    with pytest.raises(ValueError, match=r"edit of Alp, Bet, Gam, Alp\+Bet;"):
        gft.pl.perturbation_fates(perturbed)


def test_trends_are_ranks_as_the_model_reads_them(perturbed, model) -> None:
    perturbed.obs["stage"] = np.repeat([1.0, 2.0], 20)
    axes = gft.pl.perturbation_trends(perturbed, model, "stage", "Alp")
    counts = perturbed.X.toarray()
    order = np.argsort(-counts, axis=1, kind="stable")[:, :3]  # ties in the order of the genes
    rank = np.where((order == 0).any(axis=1), 1 - (order == 0).argmax(axis=1) / 3, 0.0)
    expected = [(1.0, rank[:20].mean()), (2.0, rank[20:].mean())]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), expected, rtol=1e-5)
    assert axes.get_ylabel() == "normalised rank"
    both = gft.pl.perturbation_trends(perturbed, model, "stage", "Alp", fate=["A", "B"])
    assert [text.get_text() for text in both.get_legend().get_texts()] == ["A", "B"]
    single = gft.pl.perturbation_trends(perturbed, model, "stage")
    assert [panel.get_title(loc="left") for panel in single] == ["Alp", "Bet", "Gam"]
    with pytest.raises(ValueError, match=r"along: obs\['cluster'\] must hold numbers"):
        gft.pl.perturbation_trends(perturbed, model, "cluster", "Alp")


def test_steps_run_from_many_to_few(perturbed, model) -> None:
    perturbed.obs["fate_steps"] = np.arange(40.0)[::-1]
    left, right = gft.pl.perturbation_trends(perturbed, model, "fate_steps", "Alp").get_xlim()
    assert left > right
