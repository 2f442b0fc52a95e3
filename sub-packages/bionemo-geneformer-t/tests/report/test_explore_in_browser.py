"""The section to explore, in a real browser: a click, a search, a screenshot, and the keyboard."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, headless_browser
from explored_forks import CELLS, ENDING, explored_forks
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from pages import HOSTILE
from two_forks import first_cell

from bionemo.geneformer_t.report.explore_section import explore_section
from bionemo.geneformer_t.report.figures.cell_arrows import by_number
from bionemo.geneformer_t.report.figures.style import category_colors
from bionemo.geneformer_t.report.page import page

pytestmark = pytest.mark.slow

TOLD = "document.getElementById('explore-told').textContent"
FACTS = "document.getElementById('explore-facts')"
ARROW = (
    "(() => { const {x, y, to_x, to_y} = Bokeh.documents[0]"
    ".get_model_by_name('predicted arrows').data; return [x, y, to_x, to_y].flat(); })()"
)
OPACITY = 0.75


def arrow_of(cell: int) -> list[float]:
    """From the place of a cell to the place of its predicted next cell."""
    found = explored_forks()
    (row,) = np.flatnonzero(found.arrows.cells == cell)
    ends = [found.where.coordinates[cell], found.arrows.predicted_ends[row]]
    return np.concatenate(ends).astype(np.float32).tolist()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page("A report", "", "", {"explore": explore_section(explored_forks())}))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    with headless_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def opened(browser: Browser, path: Path):
    """The page as it opens; after the test it has loaded nothing and nothing has failed."""
    browser.open(path)
    browser.wait("!document.getElementById('explore-instead')")
    browser.wait("Bokeh.documents[0].is_idle")
    yield browser
    assert browser.problems == []
    assert not browser.run("document.querySelectorAll('img, iframe, #explorer script').length")


def pixel_of(browser: Browser, cell: int) -> tuple[float, float]:
    """Where a cell is in the window, with the map in view."""
    browser.run("document.getElementById('explore-map').scrollIntoView()")
    x, y = explored_forks().where.coordinates[cell]
    found = browser.run(
        "(() => { const plot = Bokeh.documents[0].get_model_by_name('map');"
        "const box = document.getElementById('explore-map').firstElementChild"
        ".getBoundingClientRect(), {x_range: x, y_range: y} = plot;"
        f"return [box.left + box.width * ({x} - x.start) / (x.end - x.start),"
        f" box.bottom - box.height * ({y} - y.start) / (y.end - y.start)]; }})()"
    )
    return float(found[0]), float(found[1])


def test_a_click_tells_the_numbers_of_a_cell_and_keeps_them(opened) -> None:
    cell = first_cell("up") + 5
    opened.point(*pixel_of(opened, cell), click=True)
    opened.wait(f"!{FACTS}.hidden")
    assert opened.run(ARROW) == arrow_of(cell)
    opened.point(*pixel_of(opened, 0))
    opened.wait(f"{FACTS}.querySelector('h3').textContent === {CELLS[0]!r}")
    assert opened.run(ARROW) == arrow_of(0)
    opened.point(2, 2)
    opened.wait(f"{FACTS}.querySelector('h3').textContent === {CELLS[cell]!r}")
    assert opened.run(ARROW) == arrow_of(cell)
    names, texts = (
        opened.run(f"Array.from({FACTS}.querySelectorAll('{tag}'), (one) => one.textContent)")
        for tag in ("dt", "dd")
    )
    facts = dict(zip(names, texts, strict=True))
    assert facts["cluster"] == ENDING
    assert facts["time"] == "15"
    assert (facts["fate A"], facts["fate C"]) == ("50.0 %", "0.0 %")
    assert facts[f"fate {ENDING}"] == "50.0 %"
    assert facts["entropy of the fates, nats"] == "0.693"
    assert facts["predicted to fall"].startswith("Alp \N{MINUS SIGN}0.75")
    assert opened.run(TOLD) == f"{CELLS[cell]}: cluster {ENDING}"


def test_the_pointer_names_a_cell_whatever_its_name_holds(opened) -> None:
    cell = CELLS.index(ENDING)
    opened.point(*pixel_of(opened, cell))
    opened.wait(f"!{FACTS}.hidden")
    assert opened.run(f"{FACTS}.querySelector('h3').textContent") == ENDING
    assert "none: no successor" in opened.run(f"{FACTS}.textContent")
    tooltip = (
        "(() => { const all = (at) => [...at.querySelectorAll('*')].flatMap((one) =>"
        " one.shadowRoot ? [one.shadowRoot, ...all(one.shadowRoot)] : []);"
        "return all(document).map((one) => one.textContent).join(' '); })()"
    )
    opened.wait(f"{tooltip}.includes('alert')")
    assert HOSTILE in opened.run(tooltip)


def test_a_search_colours_cells_by_a_gene(opened) -> None:
    colors = "Bokeh.documents[0].get_model_by_name('cells').data.color"
    before = opened.run(colors)
    opened.run("document.getElementById('explore-gene').focus()")
    opened.type("be")
    assert opened.run(colors) == before
    opened.type("t")
    assert opened.run(colors) != before
    opened.key("Enter")
    assert opened.run(TOLD) == (
        "Bet (ENSG1): 20 of 40 cells have it among their first 4 genes. 1 is the first rank."
    )
    after = opened.run(colors)
    assert after != before
    assert len(set(after[:20])) == len(set(after[20:])) == 1
    assert opened.run("document.getElementById('explore-color').value") == "gene"
    assert not opened.run("document.getElementById('explore-scale').hidden")
    for name, answer in {
        "Twin": "Twin stands for 2 genes; give the id of one: ENSG3, ENSG4.",
        "ENSG4": "Twin (ENSG4): 20 of 40 cells",
        ENDING.replace("\u2028", " "): "is not among the 6 genes",
    }.items():
        opened.run("document.getElementById('explore-gene').value = ''")
        opened.type(name)
        opened.key("Enter")
        assert answer in opened.run(TOLD)


def test_predicted_ranks_and_changes_of_a_gene_are_shown(opened) -> None:
    opened.run(
        "for (const [id, value] of [['explore-gene', 'Bet'], ['explore-state', 'change']]) {"
        "const one = document.getElementById(id); one.value = value;"
        "one.dispatchEvent(new Event('change', {bubbles: true})); }"
    )
    told = opened.run("Bokeh.documents[0].get_model_by_name('cells').data.told")
    assert told[0] == "Bet, predicted change 0.13"
    assert told[39] == "Bet, predicted change not known"


def test_a_cluster_is_toggled_by_the_keyboard(opened) -> None:
    opened.run("document.querySelectorAll('#explore-clusters input')[1].focus()")
    opened.key(" ")
    assert opened.run(TOLD) == "34 of 40 cells are shown."
    shown = opened.run("Bokeh.documents[0].get_model_by_name('shown').booleans")
    hidden = np.flatnonzero(~np.array(shown))
    assert hidden.tolist() == list(range(first_cell("A"), first_cell("B")))
    opened.point(*pixel_of(opened, first_cell("A") + 4), click=True)
    assert opened.run(f"{FACTS}.hidden")


def test_arrow_keys_go_from_cell_to_cell(opened) -> None:
    opened.run("document.getElementById('explore-map').focus()")
    opened.key("ArrowRight")
    first = opened.run(f"{FACTS}.querySelector('h3').textContent")
    opened.key("ArrowLeft")
    second = opened.run(f"{FACTS}.querySelector('h3').textContent")
    where = explored_forks().where.coordinates
    assert where[CELLS.index(second), 0] < where[CELLS.index(first), 0]
    assert opened.run(TOLD).startswith(second)
    opened.key("Escape")
    assert opened.run(f"{FACTS}.hidden")


def test_everything_is_reached_by_the_tab_key_and_has_a_name(opened) -> None:
    reached = []
    for _ in range(20):
        opened.key("Tab")
        reached.append(
            opened.run(
                "(() => { const one = document.activeElement; return one.id || one.type; })()"
            )
        )
    wanted = ["color", "gene", "arrows", "cell", "map", "in", "out", "whole", "all", "none"]
    places = [reached.index(f"explore-{name}") for name in wanted]
    assert places == sorted(places)
    assert reached.count("checkbox") == 5
    opened.ask("Accessibility.enable")
    nodes = opened.ask("Accessibility.getFullAXTree")["nodes"]
    roles = {"combobox", "searchbox", "button", "checkbox", "application"}
    named = [
        node["name"]["value"]
        for node in nodes
        if node.get("role", {}).get("value") in roles and not node["ignored"]
    ]
    opened.ask("Accessibility.disable")
    assert {"Colour by", "Gene", "Rank", "Arrows", "Cell", "Map of 40 cells, UMAP"} <= set(named)
    assert all(named)


@pytest.mark.parametrize("width", [1200, 390])
def test_a_screenshot_has_the_clusters_in_their_colours(width, browser, path) -> None:
    browser.open(path, width)
    browser.wait("!document.getElementById('explore-instead')")
    browser.wait("Bokeh.documents[0].is_idle")
    browser.run("document.getElementById('explore-arrows').value = 'none'")
    browser.run("document.getElementById('explore-arrows').dispatchEvent(new Event('change'))")
    browser.wait("Bokeh.documents[0].is_idle")
    assert browser.run("document.documentElement.scrollWidth") <= width
    image = imread(io.BytesIO(browser.screenshot("#explore-map")))[..., :3]
    labels = sorted(["stem", ENDING, "A", "B", "C"], key=by_number)
    for label, color in zip(labels, category_colors(5), strict=True):
        wanted = OPACITY * np.array(to_rgb(color)) + (1 - OPACITY)
        near = np.abs(image - wanted).max(axis=-1) < 0.02
        assert near.sum() > 20, label
    assert browser.problems == []


def test_print_and_a_browser_without_scripts_leave_it_out(browser, path) -> None:
    browser.open(path)
    browser.ask("Emulation.setEmulatedMedia", media="print")
    assert browser.run("getComputedStyle(document.getElementById('explore')).display") == "none"
    browser.ask("Emulation.setEmulatedMedia", media="")
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(path)
    assert browser.run("document.getElementById('explorer').hidden")
    assert browser.run("document.getElementById('explore-instead').offsetHeight") > 0
    browser.ask("Emulation.setScriptExecutionDisabled", value=False)


def test_the_page_runs_no_script_that_it_did_not_bring(browser, path, tmp_path) -> None:
    text = path.read_text()
    changed = tmp_path / "changed.html"
    changed.write_text(text.replace("</footer>", "</footer><script>window.was_run = 1</script>"))
    browser.open(changed)
    browser.wait("!document.getElementById('explore-instead')")
    assert browser.run("window.was_run") is None
    assert any(re.search("Content Security Policy", problem) for problem in browser.problems)
