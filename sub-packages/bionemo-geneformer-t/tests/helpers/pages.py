"""Reads a page as a browser would: its elements, its text and its tables."""

from html.parser import HTMLParser

HOSTILE = "<script>alert('x')</script> & \"$\\frac$\" <img src=http://evil.example/x>"


class Page(HTMLParser):
    """Everything in a page that a test may ask for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"}:
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag) -> None:
        if tag in {"th", "td"}:
            self._in_cell = False

    def handle_data(self, data) -> None:
        self.text.append(data)
        if self._in_cell:
            self.rows[-1][-1] += data

    def values(self, name: str) -> list[str]:
        """The values of an attribute, wherever it stands."""
        return [value for key, value in self.attributes if key == name]

    def row(self, name: str) -> list[str]:
        """The figures of the first row with that name."""
        return next(row[1:] for row in self.rows if row and row[0] == name)
