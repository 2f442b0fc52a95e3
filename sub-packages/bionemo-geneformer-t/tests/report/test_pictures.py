import re
import xml.etree.ElementTree as ET
from base64 import b64decode

import pytest
from pages import HOSTILE

from bionemo.geneformer_t.report.figures.style import new_figure
from bionemo.geneformer_t.report.pictures import Picture


def drawn() -> Picture:
    figure = new_figure()
    axes = figure.subplots()
    axes.scatter([0, 1], [0, 1], rasterized=True)
    axes.set_title(HOSTILE + " --")
    return Picture.of(figure, "a")


@pytest.fixture(scope="module")
def picture() -> Picture:
    return drawn()


def test_the_same_figure_gives_the_same_bytes(picture) -> None:
    assert drawn() == picture


def test_it_is_written_in_both_kinds_and_held_as_text(picture, tmp_path) -> None:
    picture.write(tmp_path)
    assert (tmp_path / "a.svg").read_bytes() == picture.svg == b64decode(picture.base64)
    assert (tmp_path / "a.png").read_bytes() == picture.png


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


def test_places_have_two_decimals_and_factors_all() -> None:
    figure = new_figure()
    figure.text(0.123456, 0.5, "label", fontsize=8.125)
    svg = Picture.of(figure, "a").svg.decode()
    drawn = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    assert "scale(0.08125 -0.08125)" in drawn
    assert not re.search(r"\d\.\d{3}", re.sub(r"scale\(.*?\)", "", drawn))
