"""HTML that cannot be broken by what it shows: text is escaped unless it is `Html` already.

A page is built from `element`; a string among its children is text, whatever it holds, and only
what `element` itself made is markup.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_VOID = frozenset({"br", "img", "meta"})
"""Elements without an end."""


@dataclass(frozen=True)
class Html:
    """Markup that is safe to show."""

    text: str


Child = Html | str
Heading = Child | tuple[Child, int]
"""A heading, and over how many columns it stands where that is not one."""


def element(tag: str, /, *children: Child, **attributes: str) -> Html:
    """One element.

    Args:
        tag: Its name.
        children: Markup, or text that is escaped.
        attributes: Their values are escaped; `class_` stands for `class`.
    """
    given = "".join(
        f' {name.rstrip("_")}="{html.escape(value)}"' for name, value in attributes.items()
    )
    if tag in _VOID:
        assert not children
        return Html(f"<{tag}{given}>")
    return Html(f"<{tag}{given}>{joined(children).text}</{tag}>")


def joined(children: Iterable[Child]) -> Html:
    """Markup and text one after the other."""
    return Html(
        "".join(child.text if isinstance(child, Html) else html.escape(child) for child in children)
    )


def paragraph(*children: Child, **attributes: str) -> Html:
    """A paragraph."""
    return element("p", *children, **attributes)


def table(
    head: Sequence[Sequence[Heading]],
    rows: Sequence[Sequence[Child]],
    *,
    caption: str,
    marked: Sequence[int] = (),
) -> Html:
    """A table: the first column names the row and stands left, the others hold numbers.

    Args:
        head: Rows of headings; an empty heading takes its place.
        rows: A name and the figures of each row.
        caption: What the table holds.
        marked: Rows that are set off.
    """
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", *(element("tr", *map(_heading, cells)) for cells in head)),
            element(
                "tbody",
                *(
                    _row(cells, class_="marked") if number in marked else _row(cells)
                    for number, cells in enumerate(rows)
                ),
            ),
        ),
        class_="scroll",
    )


def facts(rows: Iterable[tuple[str, Child]], *, caption: str) -> Html:
    """A table of names and what there is to say about them, all on the left."""
    body = [
        element("tr", element("th", name, scope="row"), element("td", value))
        for name, value in rows
    ]
    return element("table", element("caption", caption), element("tbody", *body), class_="facts")


def items(rows: Iterable[Child], **attributes: str) -> Html:
    """A list."""
    return element("ul", *(element("li", row) for row in rows), **attributes)


def _heading(cell: Heading) -> Html:
    if isinstance(cell, tuple):
        text, width = cell
        return element("th", text, scope="colgroup", colspan=str(width))
    return element("th", cell, scope="col") if cell else element("td")


def _row(cells: Sequence[Child], **attributes: str) -> Html:
    first, *others = cells
    figures = [element("td", cell) for cell in others]
    return element("tr", element("th", first, scope="row"), *figures, **attributes)
