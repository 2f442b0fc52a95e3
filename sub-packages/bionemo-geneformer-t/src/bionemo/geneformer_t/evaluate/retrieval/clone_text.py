"""The comparison with clones as a table and in sentences."""

from dataclasses import asdict
from typing import Any

from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.retrieval.clone_retrieval import (
    FATE_RIGHT,
    MEASURES,
    OF_FATE,
    WITHIN,
    CloneRetrieval,
)
from bionemo.geneformer_t.table import Table, percent, span

_WHAT = {
    WITHIN: "how much of its transitions stays within the clone",
    FATE_RIGHT: "how often the most probable fate is that of most siblings",
    OF_FATE: "how probable the fate of most siblings is",
}


def clone_table(found: CloneRetrieval, nearest: str) -> Table:
    """Each ranker, with its intervals and what the model has more or less than it.

    Args:
        found: The comparison.
        nearest: Name of the row of nearest cells, which is the one to beat.
    """
    marked = next(iter(found.rows))
    head: list[Any] = [""]
    for name in (f"{WITHIN} %", f"{FATE_RIGHT} %", f"{OF_FATE} %"):
        head += [name, "95 % interval"]
    return Table(
        head=[head],
        rows=[
            [name, *(cell for what in MEASURES for cell in _cells(row.intervals[what]))]
            for name, row in found.rows.items()
        ],
        caption=(
            f"Clones: probability of later cells of the same clone, for {found.num_cells:,} cells "
            f"of {found.num_clones:,} clones, among {found.number} later cells that each row "
            f"chooses; and the fate of most later siblings, which {found.num_with_fate:,} cells "
            f"have. To beat: {nearest}. Intervals are over clones"
        ),
        marked=[marked],
    )


def clone_sentence(found: CloneRetrieval, nearest: str) -> str:
    """The verdict: whether the model tells more of clones than similarity does."""
    (_, model), other = next(iter(found.rows.items())), found.rows[nearest]
    gains = found.gains[nearest]
    said = "; ".join(
        f"{_WHAT[what]}: {percent(model.intervals[what].mean)} % (of {nearest}, "
        f"{percent(other.intervals[what].mean)} %; difference "
        f"{span(100 * gains[what].low, 100 * gains[what].high, 1)})"
        for what in (WITHIN, FATE_RIGHT)
    )
    verdicts = {what: gains[what].verdict for what in (WITHIN, FATE_RIGHT)}
    if "too few" in verdicts.values() or "not known" in verdicts.values():
        return (
            "Whether the model tells more of what clone siblings become than similarity cannot be "
            f"told: too few clones ({said})."
        )
    better = [what for what, verdict in verdicts.items() if verdict == "better"]
    worse = [what for what, verdict in verdicts.items() if verdict == "worse"]
    if worse:
        verdict = "The model tells less of what clone siblings become than similarity does"
    elif len(better) == len(verdicts):
        verdict = "The model tells more of what clone siblings become than similarity does"
    else:
        verdict = "The model tells no more of what clone siblings become than similarity does"
        if better:
            verdict += f", except {_WHAT[better[0]]}"
    return f"{verdict} ({said})."


def clone_values(found: CloneRetrieval, nearest: str) -> dict[str, Any]:
    """All figures as plain values, for evaluation.json."""
    return {
        "rows": {
            name: {what: asdict(one) for what, one in row.intervals.items()}
            for name, row in found.rows.items()
        },
        "gains": {
            name: {what: asdict(one) for what, one in each.items()}
            for name, each in found.gains.items()
        },
        "num_cells": found.num_cells,
        "num_with_fate": found.num_with_fate,
        "num_clones": found.num_clones,
        "number": found.number,
        "sentence": clone_sentence(found, nearest),
    }


def _cells(interval: Interval) -> list[str]:
    return [percent(interval.mean), span(100 * interval.low, 100 * interval.high, 1)]
