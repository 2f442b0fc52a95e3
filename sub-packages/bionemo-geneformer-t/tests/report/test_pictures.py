import xml.etree.ElementTree as ET

import pytest
from pages import HOSTILE, Page

from bionemo.geneformer_t.report.figures.style import new_figure
from bionemo.geneformer_t.report.markup import Html
from bionemo.geneformer_t.report.pictures import Picture


def drawn() -> Picture:
    figure = new_figure()
    axes = figure.subplots()
    axes.scatter([0, 1], [0, 1], rasterized=True)
    axes.set_title(HOSTILE + " --")
    return Picture.of(figure, "a", HOSTILE)


@pytest.fixture(scope="module")
def picture() -> Picture:
    return drawn()


def test_the_same_figure_gives_the_same_bytes(picture) -> None:
    assert drawn() == picture


def test_the_page_holds_the_picture_and_its_words(picture) -> None:
    shown = picture.shown()
    assert isinstance(shown, Html)
    page = Page(shown.text)
    assert page.tags == ["figure", "img"]
    assert page.values("alt") == [HOSTILE]
    assert page.values("src")[0].startswith("data:image/svg+xml;base64,")


def test_a_vector_picture_asks_for_nothing_outside_itself(picture) -> None:
    tree = ET.fromstring(picture.svg)
    tags = {part.tag.rpartition("}")[2] for part in tree.iter()}
    assert "script" not in tags
    references = [
        value for part in tree.iter() for name, value in part.attrib.items()
        if name.rpartition("}")[2] in {"href", "src"}
    ]  # fmt: skip
    assert references
    assert all(value.startswith(("#", "data:")) for value in references)
