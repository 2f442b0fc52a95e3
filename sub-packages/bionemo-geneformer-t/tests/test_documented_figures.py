"""Figures of the pages are those of the results that they name, or of the newest ones."""

import json
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
DOCS, RESULTS = REPOSITORY / "docs", REPOSITORY / "benchmarks" / "results"
MEASURES = ("over strongest", "over look-up", "network over look-up", "over shuffled")
LOOK_UP, DRAWN = "successors of similar cells", "successors of similar cells, drawn anew"


def newest(name: str) -> dict[str, Any]:
    return json.loads(sorted(RESULTS.glob(f"????-??-??-{name}.json"))[-1].read_text())


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rounded(text: str, digits: int) -> str:
    """`0.0182 (0.0119 to 0.0244)` with fewer digits, signs kept."""
    step = Decimal(10) ** -digits
    value, low, high = (
        Decimal(part.strip("()")).quantize(step, ROUND_HALF_UP)
        for part in text.replace(" to ", " ").split()
    )
    sign = "+" if text.startswith("+") else ""
    return f"{value:{sign}} ({low} to {high})"


@pytest.mark.parametrize(
    ("called", "by"),
    [
        ("the model", "the model"),
        ("its network alone", "the network alone"),
        ("nearest later cells in PCA", "nearest later cells in PCA"),
        ("mutual nearest neighbors", "mutual nearest neighbors"),
        ("moscot's coupling, which the model learned from", "moscot's coupling"),
        ("chance", "chance"),
    ],
)
def test_clones(called: str, by: str) -> None:
    row = next(row for row in newest("clones")["rows"] if row["by"] == by)
    fates = rounded(row["fate right"], 2)
    assert f"| {called} | {rounded(row['siblings'], 3)} | {fates} |" in page("fates.md")
    if row["fate right - nearest"] != "-":
        assert f"{fates} | {rounded(row['fate right - nearest'], 3)} |" in page("fates.md")


def test_clones_are_told_alike_beside_other_tools() -> None:
    right = {row["by"]: row["fate right"][:6] for row in newest("clones")["rows"]}
    coupling, model, nearest = (
        f"{float(right[by]):.2f}"
        for by in ("moscot's coupling", "the model", "nearest later cells in PCA")
    )
    text = " ".join(page("why_not.md").split())
    assert (
        f"in {coupling} of the cells, the model that learned from it in {model}, nearest later "
        f"cells in {nearest}"
    ) in text


@pytest.mark.parametrize("row", newest("retrieval")["rows"], ids=lambda row: row["set"])
@pytest.mark.parametrize("measure", ["MRR", "recall@5"])
def test_retrieval(row: dict[str, Any], measure: str) -> None:
    cells = [row[f"{measure} model"]]
    for by in ("nearest", "mean successor", "mean step"):
        counts = ", ".join(row[f"{measure} over {by}"].split("/"))
        cells.append(f"{row[f'{measure} {by}']} ({counts})")
    assert " | ".join([*cells, row[f"{measure} chance"]]) in page("fates.md")


def gain(run: dict[str, Any], measure: str) -> str:
    value, low, high = run[measure]["interval"]
    text = f"{value:+.3f} ({low:.3f} to {high:.3f})"
    return f"**{text}**" if run[measure]["verdict"] == "better" else text


def all_runs(name: str) -> list[dict[str, Any]]:
    """Three of the first split, and those of the second one, which were made before."""
    first, second = (
        json.loads((RESULTS / f"2026-11-{day}-recipes-targets.json").read_text())["runs"][name]
        for day in (29, 28)
    )
    return [*first, *second[3:]]


@pytest.mark.parametrize("name", list(newest("recipes-targets")["runs"]))
def test_scores_of_auto(name: str) -> None:
    run = newest("recipes-targets")["runs"][name][0]
    nats = [
        f"{run['nats'][row]:.3f}" if row in run["nats"] else "-"
        for row in ("the model", "the network alone", LOOK_UP, DRAWN)
    ]
    line = [f"`{name}`", str(run["cells"]), *nats, *(gain(run, what) for what in MEASURES)]
    assert f"| {' | '.join(line)} |" in page("recipes.md")

    runs = all_runs(name)
    counts = []
    for what in MEASURES:
        verdicts = [one[what]["verdict"] for one in runs]
        better, worse = verdicts.count("better"), verdicts.count("worse")
        counts.append(f"{better}, {len(runs) - better - worse}, {worse}")
    mean_gain = mean(one["over strongest"]["interval"][0] for one in runs)
    line = [f"`{name}`", str(len(runs)), f"{mean_gain:+.3f}; {counts[0]}", *counts[1:]]
    assert f"| {' | '.join(line)} |" in page("recipes.md")


def test_how_much_answers_vary() -> None:
    found = [
        max(mine / theirs for mine, theirs in (run["lists"], run["information"]) if theirs)
        for name in newest("recipes-targets")["runs"]
        for run in all_runs(name)
    ]
    said = f"are {min(found):.2f} to {max(found):.0f} times those of the look-up"
    assert said in " ".join(page("recipes.md").split())
