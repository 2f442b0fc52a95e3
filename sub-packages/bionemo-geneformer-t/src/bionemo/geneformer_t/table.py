"""A table for a terminal, a web page or a Markdown file, and numbers as tables show them."""

import html
import math
import re
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass

Heading = str | tuple[str, int]
"""A heading, and over how many columns it is where that is not one."""
WIDTH = 100
"""Letters of a line, to which text for a terminal is wrapped."""
_NEGATIVE = re.compile(r"(?<![\w.-])-(?=\d)")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text, the first column naming the row.

    Cells are text whatever they hold: what would be markup is escaped.
    """

    rows: Sequence[Sequence[str]]
    head: Sequence[Sequence[Heading]] = ()
    """Rows of headings; a table without any holds facts: names, and sentences about them."""
    caption: str = ""
    left: Collection[int] = (0,)
    """Columns of text, aligned on the left; the others are numbers."""
    marked: Collection[str] = ()
    """Names of the rows that are set off on a page."""

    @classmethod
    def of_facts(cls, rows: Sequence[tuple[str, str]], caption: str = "") -> "Table":
        """Names, and what there is to say about them."""
        return cls(rows=rows, caption=caption, left=(0, 1))

    def text(self) -> str:
        """Aligned columns; a last column of text is wrapped to `WIDTH`."""
        rows = [[(cell, 1) for cell in row] for row in self.rows]
        lines = [list(map(_with_width, row)) for row in self.head] + rows
        plain = [[cell for cell, _ in line] for line in lines if all(n == 1 for _, n in line)]
        widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
        last = len(widths) - 1
        indent = " " * (sum(widths[:last]) + 2 * last) if last in self.left else None
        shown = [self.caption] if self.caption else []
        for line in lines:
            aligned, column = [], 0
            for cell, number in line:
                room = sum(widths[column : column + number]) + 2 * (number - 1)
                is_left = number > 1 or column in self.left
                aligned.append(cell.ljust(room) if is_left else cell.rjust(room))
                column += number
            shown += wrapped("  ".join(aligned).rstrip(), indent)
        return "\n".join(shown)

    def html(self) -> str:
        """A `table`; one with headings within an element that scrolls sideways."""
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        heads = "".join(f"<tr>{''.join(map(_heading, row))}</tr>" for row in self.head)
        body = "".join(map(self._row, self.rows))
        if not heads:
            return f'<table class="facts">{caption}<tbody>{body}</tbody></table>'
        table = f"<table>{caption}<thead>{heads}</thead><tbody>{body}</tbody></table>"
        return f'<div class="scroll">{table}</div>'

    __html__ = html  # Jinja2 takes what it returns as markup

    def markdown(self) -> str:
        """A table of GitHub's Markdown, which has one row of headings."""
        spread = [
            [text for text, number in map(_with_width, row) for _ in range(number)]
            for row in self.head
        ]
        width = len(spread[0] if spread else self.rows[0])
        heads = [" ".join(filter(None, column)) for column in zip(*spread, strict=True)]
        rule = ["---" if column in self.left else "---:" for column in range(width)]
        lines = [heads or [""] * width, rule, *self.rows]
        return "\n".join(f"| {' | '.join(map(_in_markdown, line))} |" for line in lines)

    def _row(self, cells: Sequence[str]) -> str:
        name, *others = cells
        shown = (
            html.escape(cell if column in self.left else with_minus(cell))
            for column, cell in enumerate(others, start=1)
        )
        marked = ' class="marked"' if name in self.marked else ""
        figures = "".join(f"<td>{cell}</td>" for cell in shown)
        return f'<tr{marked}><th scope="row">{html.escape(name)}</th>{figures}</tr>'


def wrapped(line: str, indent: str | None = "  ") -> list[str]:
    """Lines of at most `WIDTH` letters, all but the first indented; None leaves it whole."""
    if indent is None or len(line) <= WIDTH:
        return [line]
    return textwrap.wrap(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def number(value: float | None, digits: int = 3) -> str:
    """A figure; `-` where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as per cent, without the sign."""
    return number(None if fraction is None else 100 * fraction, digits)


def span(low: float | None, high: float | None, digits: int = 3) -> str:
    """The ends of an interval."""
    if low is None or math.isnan(low):
        return "not known"
    return f"{number(low, digits)} to {number(high, digits)}"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign."""
    return number(value, digits) if math.isnan(value) else f"{value:+.{digits}f}"


def with_minus(text: str) -> str:
    """Numbers with a minus sign instead of a hyphen, for print."""
    return _NEGATIVE.sub("\N{MINUS SIGN}", text)


def _with_width(heading: Heading) -> tuple[str, int]:
    return heading if isinstance(heading, tuple) else (heading, 1)


def _heading(heading: Heading) -> str:
    text, number = _with_width(heading)
    if number > 1:
        return f'<th scope="colgroup" colspan="{number}">{html.escape(text)}</th>'
    return f'<th scope="col">{html.escape(text)}</th>' if text else "<td></td>"


def _in_markdown(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").splitlines())
