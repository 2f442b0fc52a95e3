"""The section on perturbations shows the numbers of the tables, beside their nulls."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pages import HOSTILE, Page
from perturbed_forks import EFFECTS, with_perturbation
from two_forks import two_forks

from bionemo.geneformer_t.perturbation.readouts import unit_of
from bionemo.geneformer_t.perturbation.screen_verdict import HEADER
from bionemo.geneformer_t.report.figures.fate_curves import weighted_curve
from bionemo.geneformer_t.report.figures.perturbation_figures import FateChange
from bionemo.geneformer_t.report.figures.rank_trends import RankTrends, rank_trends_figure
from bionemo.geneformer_t.report.page import page, pictures_of
from bionemo.geneformer_t.report.perturbation_section import (
    MOST_READOUTS,
    PerturbationResults,
    first_genes,
    perturbation_section,
)
from bionemo.geneformer_t.report.pictures import Picture

VERDICT = (HEADER, "fate A: 2 of 3 (66.7 %) targets at q < 0.05.", f"no better than {HOSTILE}")
NOTES = ("no donors are given",)


@pytest.fixture(scope="module")
def found() -> PerturbationResults:
    cells = with_perturbation(two_forks())
    return PerturbationResults(
        table=cells.uns["perturbation"],
        verdict=VERDICT,
        notes=NOTES,
        by_cluster=cells.uns["perturbation_by_cluster"],
        fates=cells.obsm["fates"],
        in_cells={f"fate {fate}": cells.obsm[f"perturbation: fate {fate}"] for fate in EFFECTS},
    )


@pytest.fixture
def _unrendered(monkeypatch) -> None:
    """Figures are built, but no picture is made of them, for tests of words and tables."""
    monkeypatch.setattr(Picture, "of", lambda _, name: Picture(name=name, svg=b"", png=b""))


def made(found: PerturbationResults) -> Page:
    return Page(page("", "", "", {"perturbation": perturbation_section(found)}))


def words(shown: Page) -> str:
    return " ".join("".join(shown.text).split())


@pytest.mark.usefixtures("_unrendered")
def test_the_verdict_stands_first_and_its_header_once(found) -> None:
    shown = made(found)
    text = words(shown)
    assert text.count(HEADER) == 1
    assert text.index(HEADER) < text.index(VERDICT[1]) < text.index("4 targets were edited")
    assert VERDICT[2] in "".join(shown.text)
    assert "script" not in shown.tags
    assert NOTES[0] in text


@pytest.mark.usefixtures("_unrendered")
def test_targets_are_listed_with_effect_unit_null_q_and_cells(found) -> None:
    shown = made(found)
    assert shown.row("Alp") == [
        "+0.2", "+0.01", "0.02", "9.5", "0.003", "10", "28", "2", "+0.15", "0.40", "1.5"
    ]  # fmt: skip
    assert [row[0] for row in shown.rows if row][2:6] == ["Alp", "Bet", "Gam", "Alp+Bet"]
    assert shown.row("Alp+Bet")[4] == "-"  # no q-value
    assert shown.row("target") == [
        "mean", "null mean", "null sd", "z", "q", "affected", "lack it", "unchanged",
        "ridge", "correlation", "shuffled graph",
    ]  # fmt: skip
    assert "effect, probability" in shown.rows[0]


def test_units_are_those_of_the_readout() -> None:
    assert [unit_of(name) for name in ("fate A", "transition row", "dpt")] == [
        "probability", "probability", "units of dpt",
    ]  # fmt: skip


def test_pictures_have_names_and_descriptions(found) -> None:
    section = perturbation_section(found)
    pictures = [picture.name for picture in pictures_of(section)]
    assert pictures == ["perturbation_volcano", "perturbation_clusters", "perturbation_fates"]
    shown = Page(page("", "", "", {"perturbation": section}))
    alternatives = shown.values("alt")
    assert len(alternatives) == shown.tags.count("img") == 3
    assert "with controls beside the model" in alternatives[0]
    assert alternatives[2].endswith("of Alp, Bet, Gam, Alp+Bet.")


def test_the_first_genes_are_drawn_along_the_trajectory(found) -> None:
    place, rising = np.linspace(0, 1, 40), np.linspace(0.2, 0.8, 40)
    curve = weighted_curve(place, rising, np.ones(40))
    trends = RankTrends(along="steps to go", curves={"Alp": curve, "Bet": curve}, num_cells=40)
    figure = rank_trends_figure(replace(trends, is_reversed=True))
    alp, bet = figure.axes
    assert [axes.get_title(loc="left") for axes in (alp, bet)] == ["Alp", "Bet"]
    np.testing.assert_allclose(alp.lines[0].get_ydata(), curve.mean)
    assert alp.get_xlim()[0] > alp.get_xlim()[1]
    assert bet.get_xlim() == alp.get_xlim()
    section = perturbation_section(replace(found, trends=trends))
    assert [picture.name for picture in pictures_of(section)][-1] == "perturbation_trends"
    shown = Page(page("", "", "", {"perturbation": section}))
    assert "over all 40 cells of the file" in words(shown)
    assert shown.values("alt")[-1] == "Mean normalised rank of Alp, Bet along steps to go."
    assert "Along the trajectory" not in words(made(replace(found, fates=None)))


def test_single_genes_of_all_readouts_are_followed_in_turn(found) -> None:
    assert first_genes(found.table, 8) == {"Alp": "w", "Bet": "x", "Gam": "y"}
    last = found.table.assign(
        p_value=np.where(found.table["readout"] == "fate B", found.table["p_value"][::-1], 0.5)
    )
    last.loc[(last["readout"] == "fate B") & (last["symbol"] == "Gam"), "p_value"] = 0.0
    assert list(first_genes(last, 2)) == ["Alp", "Gam"]  # the first of A, then the first of B


@pytest.mark.usefixtures("_unrendered")
def test_what_a_csv_lacks_is_counted_in_the_table_or_said(found) -> None:
    section = perturbation_section(PerturbationResults(table=found.table))
    assert section["clusters"] is section["changes"] is None
    assert section["sentences"][0] == (
        "fate A: 2 of 3 (66.7 %) targets at q < 0.05 (shuffled graph: 0 of 4 (0.0 %))."
    )
    assert len(section["sentences"]) == 4
    assert "does not say what simple methods find" in section["sentences"][3]
    text = words(made(PerturbationResults(table=found.table)))
    assert "By cluster" not in text
    assert "Fates before and after" not in text


@pytest.mark.usefixtures("_unrendered")
def test_the_transition_row_is_no_discovery_beside_others(found) -> None:
    both = found.table.replace({"readout": {"fate A": "transition row"}})
    section = perturbation_section(PerturbationResults(table=both))
    assert [line.split(":")[0] for line in section["sentences"][:2]] == ["fate B", "fate C"]
    alone = both[both["readout"] == "transition row"]
    section = perturbation_section(PerturbationResults(table=alone))
    assert section["sentences"][0].startswith("transition row: 2 of 3")


@pytest.mark.usefixtures("_unrendered")
def test_without_nulls_there_is_no_volcano(found) -> None:
    bare = found.table.assign(z=np.nan, fdr=np.nan, p_value=np.nan)
    section = perturbation_section(replace(found, table=bare))
    assert section["volcano"] is None
    assert "No target has a null" in words(made(replace(found, table=bare)))


@pytest.mark.usefixtures("_unrendered")
def test_of_many_readouts_the_first_are_shown(found) -> None:
    one = found.table[found.table["readout"] == "fate A"]
    many = pd.concat([one.assign(readout=f"r{i}") for i in range(MOST_READOUTS + 2)])
    shown = made(PerturbationResults(table=many))
    assert f"Shown are the first {MOST_READOUTS} of {MOST_READOUTS + 2} readouts." in words(shown)
    assert "r5: its first targets" in words(shown)
    assert "r6: its first targets" not in words(shown)


@pytest.mark.usefixtures("_unrendered")
def test_targets_that_change_no_cell_have_no_fates_after(found) -> None:
    still = {name: table.assign(Alp=np.nan) for name, table in found.in_cells.items()}
    section = perturbation_section(replace(found, in_cells=still))
    assert section["changed"] == ["Bet", "Gam", "Alp+Bet"]
    none = {name: table * np.nan for name, table in found.in_cells.items()}
    assert perturbation_section(replace(found, in_cells=none))["changes"] is None


def test_cells_without_fates_count_in_no_fate_before_and_after(found) -> None:
    """They reach no terminal state, and are edited like others."""
    fates = found.fates.copy()
    fates.iloc[:4] = np.nan
    fates.iloc[4] = [0.8, 0.1, 0.1]
    section = perturbation_section(replace(found, fates=fates))
    assert section["changed"] == ["Alp", "Bet", "Gam", "Alp+Bet"]
    effects = [found.in_cells[f"fate {fate}"] for fate in EFFECTS]
    change = FateChange.of("Alp", fates, effects)
    assert change.cells == 6
    before = (5 * np.array([0.3, 0.3, 0.4]) + [0.8, 0.1, 0.1]) / 6
    np.testing.assert_allclose(change.before, before)
    np.testing.assert_allclose(change.after, before + np.array([0.2, -0.1, -0.1]))
    only = {name: table.copy() for name, table in found.in_cells.items()}
    for table in only.values():
        table.iloc[4:, table.columns.get_loc("Bet")] = np.nan
    section = perturbation_section(replace(found, fates=fates, in_cells=only))
    assert section["changed"] == ["Alp", "Gam", "Alp+Bet"]
    unknown = replace(found, fates=fates * np.nan)
    assert perturbation_section(unknown)["changes"] is None


@pytest.mark.usefixtures("_unrendered")
def test_the_caption_of_the_volcano_names_what_is_drawn(found) -> None:
    """Readouts without a null are in tables, not in the picture."""
    untested = found.table["readout"] == "fate B"
    table = found.table.assign(z=found.table["z"].mask(untested))
    shown = made(replace(found, table=table))
    assert shown.values("alt")[0].startswith("Effect of each target on fate A, fate C and its")
    assert "fate B: its first targets" in words(shown)


@pytest.mark.usefixtures("_unrendered")
def test_hostile_names_are_text(found) -> None:
    table = found.table.assign(symbol=HOSTILE, readout=HOSTILE)
    shown = made(PerturbationResults(table=table))
    assert "script" not in shown.tags
    assert any(HOSTILE in row for row in shown.rows)
