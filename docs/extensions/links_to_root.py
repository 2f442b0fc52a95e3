"""Pages link to files of the repository's root, as on GitHub; the site has pages for these."""

from sphinx.application import Sphinx

PAGES = {
    "../README.md#install": "site/start.md#install",
    "../README.md#from-counts-to-a-model": "site/start.md#from-counts-to-a-model",
    "../README.md#the-data-folder": "site/data_folder.md",
    "../README.md#troubleshooting": "site/troubleshooting.md",
    "../CONTRIBUTING.md": "site/contributing.md",
    "../CHANGELOG.md": "site/changelog.md",
}


def redirect(_app: Sphinx, name: str, source: list[str]) -> None:
    """Let links of pages in `docs/` lead to the site's own page."""
    if "/" in name:
        return
    for link, page in PAGES.items():
        source[0] = source[0].replace(f"]({link})", f"]({page})")


def setup(app: Sphinx) -> dict[str, bool]:
    """Change the text of a page before it is read as Markdown."""
    app.connect("source-read", redirect)
    return {"parallel_read_safe": True}
