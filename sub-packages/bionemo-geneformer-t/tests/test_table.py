from hypothesis import given
from hypothesis import strategies as st
from pages import HOSTILE, Page

from bionemo.geneformer_t.table import WIDTH, Table, number, percent, signed, span, with_minus

# what HTML cannot hold at all, and line ends, which parsers unify
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]))
NAN, MINUS = float("nan"), "\N{MINUS SIGN}"
SCORES = Table(
    head=[["", ("both", 2)], ["", "one", "two"]], rows=[["a", "1", "-2"], ["bcd", "-", "12.5"]],
    caption="All", marked=["bcd"],
)  # fmt: skip


@given(TEXT)
def test_text_arrives_on_a_page_as_it_was_and_makes_no_element(text) -> None:
    tables = (
        Table(head=[[text, text]], rows=[[text, "1"]], caption=text),
        Table.of_facts([(text, text)], text),
    )
    for table, times in zip(tables, (4, 3), strict=True):
        page = Page(table.html())
        assert set(page.tags) <= {"div", "table", "caption", "thead", "tbody", "tr", "th", "td"}
        assert [found for found in page.text if text and found == text] == [text] * times * bool(
            text
        )


def test_hostile_text_is_escaped_everywhere() -> None:
    page = Page(
        Table(
            head=[[HOSTILE, (HOSTILE, 2)]], rows=[[HOSTILE] * 3], caption=HOSTILE, marked=[HOSTILE]
        ).html()
    )
    assert not {"script", "img"} & set(page.tags)
    assert "".join(page.text).count(HOSTILE) == 6


def test_a_page_shows_headings_names_and_numbers_with_a_minus_sign() -> None:
    page = Page(SCORES.html())
    assert page.rows == [
        ["", "both"], ["", "one", "two"], ["a", "1", f"{MINUS}2"], ["bcd", "-", "12.5"],
    ]  # fmt: skip
    assert page.values("colspan") == ["2"]
    assert page.values("scope") == ["colgroup", "col", "col", "row", "row"]
    assert page.values("class") == ["scroll", "marked"]


def test_text_is_aligned_names_on_the_left_and_numbers_on_the_right() -> None:
    assert SCORES.text().splitlines() == [
        "All",
        "     both",
        "     one   two",
        "a      1    -2",
        "bcd    -  12.5",
    ]


def test_a_last_column_of_text_is_wrapped_under_itself() -> None:
    words = " ".join(["word"] * 40)
    first, *others = Table.of_facts([("name", words), ("longer name", "x")]).text().splitlines()
    assert first.startswith("name         word")
    assert others[0].startswith(" " * 13 + "word")
    assert others[-1] == "longer name  x"
    assert max(map(len, [first, *others])) <= WIDTH


def test_markdown_has_one_row_of_headings_and_escapes_what_ends_a_cell() -> None:
    table = Table(head=SCORES.head, rows=[["a|b\nc", "1", "2"]])
    assert table.markdown().splitlines() == [
        "|  | both one | both two |", "| --- | ---: | ---: |", r"| a\|b c | 1 | 2 |",
    ]  # fmt: skip
    assert Table.of_facts([("name", "`x`")]).markdown().splitlines() == [
        "|  |  |", "| --- | --- |", "| name | `x` |",
    ]  # fmt: skip


def test_numbers_have_their_digits() -> None:
    assert number(-1.23456) == "-1.235"
    assert number(2.0, 1) == "2.0"
    assert number(NAN) == number(None) == "-"
    assert percent(0.1234) == "12.3"
    assert percent(NAN) == percent(None) == "-"


def test_differences_have_a_sign_and_intervals_two_ends() -> None:
    assert signed(0.5, 1) == "+0.5"
    assert signed(-0.5, 1) == "-0.5"
    assert signed(NAN) == "-"
    assert span(-0.1, 0.25, 1) == "-0.1 to 0.2"
    assert span(NAN, NAN) == span(None, None) == "not known"


def test_only_the_hyphen_of_a_negative_number_becomes_a_minus_sign() -> None:
    assert with_minus("-0.1 to -0.2") == f"{MINUS}0.1 to {MINUS}0.2"
    for same in ("-", "2-3", "GENE-1", "two-way", "--1"):
        assert with_minus(same) == same
