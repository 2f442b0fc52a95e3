from hypothesis import given
from hypothesis import strategies as st
from pages import HOSTILE, Page

from bionemo.geneformer_t.report.markup import element, facts, items, joined, paragraph, table

# what HTML cannot hold at all, and line ends, which parsers unify
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


@given(TEXT)
def test_text_arrives_as_it_was_and_makes_no_element(text) -> None:
    page = Page(element("p", text, title=text).text)
    assert page.tags == ["p"]
    assert "".join(page.text) == text
    assert page.values("title") == [text]


def test_markup_within_markup_is_kept() -> None:
    assert element("p", element("b", "<"), " & ").text == "<p><b>&lt;</b> &amp; </p>"


def test_every_helper_escapes() -> None:
    made = joined(
        [
            paragraph(HOSTILE),
            items([HOSTILE], class_="a"),
            facts([(HOSTILE, HOSTILE)], caption=HOSTILE),
            table([[HOSTILE, (HOSTILE, 2)]], [[HOSTILE, HOSTILE]], caption=HOSTILE, marked=[0]),
            HOSTILE,
        ]
    )
    page = Page(made.text)
    assert not {"script", "img"} & set(page.tags)
    assert "".join(page.text).count(HOSTILE) == 11


def test_a_table_has_headings_names_and_figures() -> None:
    made = table(
        [["", ("both", 2)], ["", "one", "two"]], [["a", "1", "2"], ["b", "3", "4"]],
        caption="All", marked=[1],
    )  # fmt: skip
    page = Page(made.text)
    assert page.rows == [["", "both"], ["", "one", "two"], ["a", "1", "2"], ["b", "3", "4"]]
    assert page.values("colspan") == ["2"]
    assert page.values("scope") == ["colgroup", "col", "col", "row", "row"]
    assert page.values("class") == ["scroll", "marked"]


def test_an_image_has_no_end() -> None:
    assert element("img", alt='"').text == '<img alt="&quot;">'
