"""docs/why_not.md repeats figures of other pages; they must be the same there."""

import re
from pathlib import Path

import numpy as np

DOCS = Path(__file__).resolve().parents[3] / "docs"
TEXT = (DOCS / "why_not.md").read_text(encoding="utf-8")
FIGURE = re.compile(r"(?<![\d.])\d+\.\d+(?![\d.])")


def measured() -> dict[str, list[str]]:
    """Figures with a decimal point in each paragraph or item that names the page of its table."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"\n\n|\n- |\n\*Read\*", TEXT):
        pages = re.findall(r"\((\w+\.md)[^)]*\)", part)
        if pages:
            found.setdefault(pages[-1], []).extend(
                FIGURE.findall(part.partition("*Measured*")[2] or part)
            )
    return found


def test_every_figure_is_on_the_page_that_is_named() -> None:
    figures = measured()
    assert sum(map(len, figures.values())) > 20
    for page, numbers in figures.items():
        there = set(FIGURE.findall((DOCS / page).read_text(encoding="utf-8")))
        assert set(numbers) - there == set(), page


def test_runs_that_were_better_than_the_look_up_are_counted() -> None:
    """The table of all runs: better, alike and worse than the look-up, model and network."""
    recipes = (DOCS / "recipes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `\w+` \| (\d+) \|.*?\|(.*?)\|(.*?)\|", recipes, re.MULTILINE)
    runs = [row[1:] for row in rows if "," in row[1]]
    counts = np.array([[[int(n) for n in cell.split(",")] for cell in row] for row in runs])
    model, network = counts.sum(axis=0).tolist()
    assert model[2] == 0
    text = " ".join(TEXT.split())
    assert (
        f"in {model[0]} of {sum(model)} runs, beyond a 95 % interval, alike in {model[1]}" in text
    )
    assert f"better in {network[0]}, alike in {network[1]} and worse in {network[2]}" in text
