from pages import HOSTILE, Page

from bionemo.geneformer_t.report.markup import paragraph
from bionemo.geneformer_t.report.page import Section, page

SECTIONS = [
    Section(name="one", title="First", body=[paragraph("text")]),
    Section(name="two", title=HOSTILE, body=[]),
]


def test_sections_stand_in_their_order_and_links_lead_to_them() -> None:
    made = Page(page("Title", "under", "verdict", SECTIONS))
    assert [name for name in made.values("id") if name] == ["one", "two"]
    assert made.values("href") == ["#one", "#two"]
    text = "".join(made.text)
    assert text.index("verdict") < text.index("text")


def test_nothing_is_loaded_and_nothing_runs() -> None:
    text = page(HOSTILE, HOSTILE, HOSTILE, SECTIONS)
    made = Page(text)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(made.tags)
    assert made.values("src") == []
    assert "@import" not in text
    assert "url(" not in text


def test_a_page_has_a_language_and_a_title_and_prints() -> None:
    text = page("A title", "", "", [])
    assert text.startswith("<!doctype html>\n")
    made = Page(text)
    assert made.values("lang") == ["en"]
    assert made.text.count("A title") == 2
    assert "@media print" in text
