import gzip
import json
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from explored_forks import CELLS, ENDING, FIRST_GENE, NAMES, explored_forks, genes_of
from pages import Page
from two_forks import LENGTHS, first_cell

from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.report.explore.pack import script_json
from bionemo.geneformer_t.report.explore_section import MOST_BYTES, MOST_CELLS, explore_section
from bionemo.geneformer_t.report.figures.cell_map import CellMap
from bionemo.geneformer_t.report.page import page


def array(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(b64decode(text), np.dtype(kind).newbyteorder("<"))


@pytest.fixture(scope="module")
def section():
    return explore_section(explored_forks())


@pytest.fixture(scope="module")
def values(section):
    return json.loads(section["values"])


def test_cells_have_their_names_places_and_arrows(values) -> None:
    found = explored_forks()
    assert values["cells"]["names"] == CELLS
    places = array(values["cells"]["places"], "float32").reshape(-1, 2)
    np.testing.assert_allclose(places, found.where.coordinates, rtol=1e-6)
    ends = array(values["cells"]["ends"], "float32").reshape(-1, 4)
    known = np.flatnonzero(np.isfinite(ends).all(axis=1))
    assert known.tolist() == found.arrows.cells.tolist()
    np.testing.assert_allclose(ends[known, :2], found.arrows.true_ends, rtol=1e-6)
    np.testing.assert_allclose(ends[known, 2:], found.arrows.predicted_ends, rtol=1e-6)


def test_clusters_times_and_fates_are_those_of_the_cells(values) -> None:
    names, of = values["clusters"]["names"], array(values["clusters"]["of"], "uint16")
    assert [names[of[first_cell(branch)]] for branch in LENGTHS] == ["stem", ENDING, "A", "B", "C"]
    numbers = {one["name"]: one for one in values["numbers"]}
    assert list(numbers) == [
        "time", "fate A", f"fate {ENDING}", "fate C", "entropy of the fates, nats"
    ]  # fmt: skip
    assert array(numbers["time"]["of"], "float32").tolist() == list(range(40))
    assert numbers["time"]["labels"] == [[0.0, ENDING], [1.0, "E1"]]
    fate = array(numbers["fate A"]["of"], "float32")
    np.testing.assert_allclose(fate[[0, 10, 20, 26]], [0.3, 0.5, 1, 0])
    assert (numbers["fate A"]["low"], numbers["fate A"]["high"]) == (0, 1)


def test_genes_have_ranks_in_cells_and_in_predicted_next_cells(values) -> None:
    genes, found = values["genes"], explored_forks()
    assert genes["names"][0] == ENDING  # the one that the page names
    assert sorted(genes["names"]) == sorted(NAMES[FIRST_GENE:])
    ranks = np.frombuffer(gzip.decompress(b64decode(genes["values"])), np.uint8).reshape(6, -1)
    now, expected = ranks[:, :40], ranks[:, 40:]
    every = genes["ids"].index("ENSG0")
    assert set(now[every]) == {100}
    assert now[0].tolist() == [0] * 20 + [75] * 20
    assert set(expected[every]) == {25}
    current = array(genes["current"], "int32")
    assert np.flatnonzero(current >= 0).tolist() == found.arrows.cells.tolist()
    assert current.max() == expected.shape[1] - 1


def test_the_largest_changes_of_a_cell_are_named(values) -> None:
    changes = values["changes"]
    which = array(changes["which"], "uint16").reshape(-1, changes["each"])
    by = array(changes["by"], "int8").reshape(-1, changes["each"])
    named = [changes["names"][i] for i in which[0]]
    assert (named[0], by[0, 0]) == ("Bet", 12)  # 0.875 - 0.75
    assert (named[3], by[0, 3]) == ("Alp", -75)


def test_the_page_holds_what_would_be_markup_as_text(section) -> None:
    text = page("", "", "", {"explore": section})
    made = Page(text)
    assert made.tags.count("script") == 4  # two of values, two that run
    assert not {"img", "iframe", "link"} & set(made.tags)
    assert not [name for name, _ in made.attributes if name.startswith("on")]
    assert made.values("src") == []
    (policy,) = (value for value in made.values("content") if "default-src" in value)
    assert policy.count("'sha256-") == 2
    assert "default-src 'none'" in policy
    assert text == page("", "", "", {"explore": explore_section(explored_forks())})


def test_every_control_has_a_label(section) -> None:
    made = Page(page("", "", "", {"explore": section}))
    controls = {"select", "input"} & set(made.tags)
    assert controls
    assert made.tags.count("label") == made.tags.count("select") + made.tags.count("input")
    assert made.values("tabindex") == ["0"]
    assert "Map of 40 cells, UMAP" in made.values("aria-label")


def test_a_sample_says_how_many_cells_of_how_many_it_has() -> None:
    section = explore_section(explored_forks(), most_cells=25)
    assert section["sentences"][0] == (
        "Shown are 25 of 40 cells of the split, drawn at random, on the UMAP."
    )
    names = json.loads(section["values"])["cells"]["names"]
    assert len(set(names)) == 25
    assert names == [name for name in CELLS if name in names]


def test_cells_without_a_place_are_counted() -> None:
    found = explored_forks()
    places = found.where.coordinates.copy()
    places[39] = np.nan
    where = CellMap(coordinates=places, name="t-SNE", colors=None, color_name="")
    section = explore_section(replace(found, where=where))
    assert section["sentences"][0] == (
        "Shown are 39 of 40 cells of the split, on the t-SNE; 1 have no place on the map."
    )
    nowhere = replace(where, coordinates=np.full((40, 2), np.nan))
    with pytest.raises(ValueError, match="none of the 40 cells has a place on the t-SNE"):
        explore_section(replace(found, where=nowhere))


def test_pictures_take_room_from_genes_and_the_page_says_so() -> None:
    spare = explore_section(explored_forks())
    assert spare["sentences"][1] == "All 6 genes of the vocabulary can be searched."
    values = json.loads(spare["values"])
    room = len(values.pop("genes")["values"])
    left = MOST_BYTES - sum(map(len, [*spare["scripts"], script_json(values)])) - 300_000
    few = explore_section(explored_forks(), left - room * 3 // 4)
    number = int(few["sentences"][1].partition(" ")[0])
    assert 1 < number < 6
    assert few["sentences"][1] == (
        f"{number} of 6 genes can be searched: 1 that this page names and those whose predicted "
        "change is largest."
    )
    assert len(json.loads(few["values"])["genes"]["names"]) == number
    none = explore_section(explored_forks(), MOST_BYTES)
    assert none["sentences"][1].startswith("No gene can be searched: the pictures")


@pytest.mark.slow
@pytest.mark.parametrize("spared", [0, 500_000])
def test_a_page_of_thousands_of_cells_is_below_its_limit(spared) -> None:
    one, times = explored_forks(), 100
    shift = np.repeat(40 * np.arange(times), len(one.arrows.cells))
    many = replace(
        one,
        names=[f"A long name of a cell {i}" for i in range(40 * times)],
        where=replace(one.where, coordinates=np.tile(one.where.coordinates, (times, 1))),
        arrows=replace(
            one.arrows,
            cells=np.tile(one.arrows.cells, times) + shift,
            true_ends=np.tile(one.arrows.true_ends, (times, 1)),
            predicted_ends=np.tile(one.arrows.predicted_ends, (times, 1)),
            expected=np.tile(one.arrows.expected, (times, 1)),
        ),
        encode=lambda row: genes_of(row % 40),
        facts=CellFacts(time=np.arange(40.0 * times)),
        fates=None,
    )
    bare = explore_section(many)
    pictures = MOST_BYTES - spared - len(page("", "", "", {"explore": bare}))
    section = explore_section(many, pictures)
    assert section["num_cells"] == MOST_CELLS
    assert len(page("", "", "", {"explore": section}).encode()) + pictures < MOST_BYTES


def test_fates_of_other_cells_are_said_to_be_missing() -> None:
    found = explored_forks()
    assert found.fates is not None
    other = replace(found.fates, fates=found.fates.fates.set_axis([f"x{i}" for i in range(40)]))
    assert explore_section(replace(found, fates=other))["sentences"][2].startswith("No cell of")
    some = replace(found.fates, fates=found.fates.fates.set_axis(["cell0", *map(str, range(39))]))
    assert explore_section(replace(found, fates=some))["sentences"][2:] == [
        "1 of 40 cells of the split have fates.",
        "Arrows along transitions are left out, for they are not of exactly these cells.",
    ]


def test_what_is_not_known_is_left_out() -> None:
    bare = replace(explored_forks(), facts=CellFacts(), fates=None, uncertainty=np.arange(40.0))
    values = json.loads(explore_section(bare)["values"])
    assert values["clusters"] is None
    assert [one["name"] for one in values["numbers"]] == ["entropy of the prediction, nats"]
    assert len(values["arrows"]) == 2
