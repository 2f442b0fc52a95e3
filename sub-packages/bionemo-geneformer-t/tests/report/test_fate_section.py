from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from pages import HOSTILE, Page
from two_forks import two_forks

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.report.fate_section import MOST_FATES, FateResults, fate_section
from bionemo.geneformer_t.report.page import page, pictures_of
from bionemo.geneformer_t.report.pictures import Picture

NOTES = ("units: 20 cells", f"no donors {HOSTILE}")


@pytest.fixture(scope="module")
def found() -> FateResults:
    cells = two_forks()
    return FateResults(
        fates=cells.obsm["fates"],
        coordinates=np.asarray(cells.obsm["X_umap"], dtype=np.float64),
        map_name="UMAP",
        terminal=pd.Categorical(cells.obs["terminal_state"]),
        steps=np.arange(40.0)[::-1],
        cluster=pd.Categorical(cells.obs["cluster"]),
        transitions=sp.csr_array(cells.obsp["T_geneformer_t"]),
        drivers=cells.uns["fate_drivers"],
        driver_notes=NOTES,
    )


@pytest.fixture(scope="module")
def shown(found) -> Page:
    return Page(page("", "", "", {"fates": fate_section(found)}))


@pytest.fixture
def _unrendered(monkeypatch) -> None:
    """Figures are built, but no picture is made of them, for tests of words and tables."""
    monkeypatch.setattr(Picture, "of", lambda _, name: Picture(name=name, svg=b"", png=b""))


def words(made: Page) -> str:
    return " ".join("".join(made.text).split())


def test_it_says_what_fates_are_and_what_a_cell_is_guessed_to_become(shown) -> None:
    text = words(shown)
    assert "40 cells, 3 fates." in text
    assert "Terminal cells: A 1, B 1, C 1." in text
    # stem 10 x (.3, .3, .4), up 10 x (.5, .5, 0), 5 of A, 5 of B and 7 of C that are not terminal
    assert "Over the 37 cells that are not terminal themselves" in text
    assert "A 35%, B 35%, C 30%" in text
    assert "median entropy is 0.69 nats; 1.10 would be no idea" in text
    assert "median expected number of steps to a terminal cell is 21." in text


def test_every_cluster_has_its_fates_entropy_and_steps(shown) -> None:
    assert shown.row("stem") == ["10", "0", "30.0", "30.0", "40.0", "1.09", "34.5"]
    assert shown.row("up") == ["10", "0", "50.0", "50.0", "0.0", "0.69", "24.5"]
    assert shown.row("A") == ["6", "0", "100.0", "0.0", "0.0", "0.00", "16.5"]


@pytest.mark.usefixtures("_unrendered")
def test_choices_of_terminal_states_stand_beside_each_other(found) -> None:
    cells = two_forks()
    cells.obs["late"] = np.where(cells.obs["cluster"].isin(["A", "B"]), "D2", "D1")
    table = gft.tl.compare_fates(
        cells, ["A", "B", "C"], cluster_key="cluster", time_key="late", min_cells=1
    )
    made = Page(page("", "", "", {"fates": fate_section(replace(found, by_choice=table))}))
    row = table.set_index(["choice", "other", "fate"]).loc[("clusters", "last time", "A")]
    text = words(made)
    assert "Choice of terminal states" in text
    assert row["difference"] > 0
    assert made.row("clusters, last time") == [
        "A", "6", "6", "20", "-", f"{100 * row['difference']:.1f}", "-"
    ]  # fmt: skip
    assert "Choice of terminal states" not in words(
        Page(page("", "", "", {"fates": fate_section(found)}))
    )


def test_drivers_are_listed_with_what_is_said_of_them(shown) -> None:
    first = next(row for row in shown.rows if row[:2] == ["A", "Alp"])
    assert first[2:] == ["+0.90", "0.001", "0.002", "20", "20"]
    text = words(shown)
    assert (
        "found at q < 0.05 (false discovery rate): A 2, B 2, C 2. No p-value can be below 1 / 1,000"
        in text
    )
    for note in NOTES:
        assert note in "".join(shown.text)
    assert "script" not in shown.tags


@pytest.mark.usefixtures("_unrendered")
def test_pictures_have_names_and_descriptions(found, shown) -> None:
    names = [picture.name for picture in pictures_of(fate_section(found))]
    assert names == ["fate_maps", "fates_by_cluster", "fate_steps", "fate_drivers"]
    alternatives = shown.values("alt")
    assert alternatives[0].startswith("Probabilities of the fates A, B, C and their entropy on the")
    assert len(alternatives) == shown.tags.count("img") == 4


def test_the_same_values_give_the_same_page(found) -> None:
    one, other = (page("", "", "", {"fates": fate_section(found)}) for _ in range(2))
    assert one == other


@pytest.mark.usefixtures("_unrendered")
def test_parts_that_are_not_computed_are_left_out(found) -> None:
    bare = FateResults(fates=found.fates, coordinates=found.coordinates, map_name="t-SNE")
    section = fate_section(bare)
    assert [picture.name for picture in pictures_of(section)] == ["fate_maps"]
    made = Page(page("", "", "", {"fates": section}))
    assert not {"table", "h3"} & set(made.tags)
    assert "Terminal cells" not in words(made)
    assert "expected number of steps" not in words(made)


@pytest.mark.usefixtures("_unrendered")
def test_cells_that_reach_no_fate_are_counted_and_left_out_of_means(found) -> None:
    fates = found.fates.copy()
    fates.iloc[:4] = np.nan
    made = Page(page("", "", "", {"fates": fate_section(replace(found, fates=fates))}))
    assert "4 cells cannot reach any terminal cell" in words(made)
    assert made.row("stem")[:5] == ["6", "4", "30.0", "30.0", "40.0"]
    with pytest.raises(ValueError, match="no cell reaches a fate"):
        fate_section(replace(found, fates=fates * np.nan))


@pytest.mark.usefixtures("_unrendered")
def test_without_p_values_effects_are_shown_and_it_is_said(found) -> None:
    assert found.drivers is not None
    none = found.drivers.assign(p_value=np.nan, fdr=np.nan, permutations=0, units=3)
    made = Page(page("", "", "", {"fates": fate_section(replace(found, drivers=none))}))
    assert "There are no p-values, so the largest effects are shown." in words(made)
    row = next(row for row in made.rows if row[:2] == ["A", "Alp"])
    assert row[3:5] == ["-", "-"]


@pytest.mark.usefixtures("_unrendered")
def test_of_many_fates_those_with_most_probability_are_shown(found) -> None:
    weights = np.arange(1, 16) / np.arange(1, 16).sum()
    fates = pd.DataFrame(
        np.tile(weights, (40, 1)), columns=[f"fate {i}" for i in range(15)], index=found.fates.index
    )
    section = fate_section(replace(found, fates=fates, terminal=None, drivers=None))
    assert section["names"] == [f"fate {i}" for i in range(15 - MOST_FATES, 15)]
    assert section["sentences"][1].startswith(f"Shown are the {MOST_FATES} fates")


@pytest.mark.usefixtures("_unrendered")
def test_names_are_text_whatever_they_hold(found) -> None:
    hostile = replace(found, fates=found.fates.rename(columns={"A": HOSTILE}), drivers=None)
    made = Page(page("", "", "", {"fates": fate_section(hostile)}))
    assert HOSTILE in "".join(made.text)
    assert "script" not in made.tags


def test_arrays_of_other_cells_are_refused(found) -> None:
    assert found.cluster is not None
    other = replace(found, cluster=found.cluster[:30], transitions=sp.eye_array(39, format="csr"))
    with pytest.raises(ValueError, match="of 40 cells, but cluster of 30, transitions of 39"):
        fate_section(other)
