"""A report as one page that needs no other file, no network and no script."""

from collections.abc import Sequence
from dataclasses import dataclass

from bionemo.geneformer_t import __version__
from bionemo.geneformer_t.report.markup import Child, Html, element, joined, paragraph
from bionemo.geneformer_t.report.page_style import CSS
from bionemo.geneformer_t.report.pictures import Picture


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the page."""

    name: str
    """Its anchor; chosen by us, never by data."""
    title: str
    body: Sequence[Html]
    pictures: Sequence[Picture] = ()
    """All pictures of the body, to be written beside the page as well."""

    def shown(self) -> Html:
        """The section as markup."""
        return element("section", element("h2", self.title), *self.body, id=self.name)


def page(title: str, under: str, verdict: Child, sections: Sequence[Section]) -> str:
    """The whole page.

    Args:
        title: Its heading.
        under: What was looked at, in one line.
        verdict: What a reader in a hurry should know.
        sections: The rest, in the order of reading.
    """
    links = [element("a", section.title, href=f"#{section.name}") for section in sections]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        Html(f"<style>\n{CSS}</style>"),
    )
    body = element(
        "body",
        element("header", element("h1", title), paragraph(under, class_="under")),
        paragraph(verdict, class_="verdict"),
        element("nav", *links),
        element("main", *(joined([section.shown(), Html("\n")]) for section in sections)),
        element("footer", paragraph(f"Written by geneformer-t {__version__}.")),
    )
    return "<!doctype html>\n" + element("html", head, Html("\n"), body, lang="en").text + "\n"
