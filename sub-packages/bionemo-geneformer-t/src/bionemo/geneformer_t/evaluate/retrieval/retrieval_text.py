"""Successor retrieval as a table and in sentences."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.retrieval.clone_text import (
    clone_sentence,
    clone_table,
    clone_values,
)
from bionemo.geneformer_t.evaluate.retrieval.rankers import NEAREST, TEACHER
from bionemo.geneformer_t.evaluate.retrieval.retrieval import (
    CHANCE,
    SIMPLE,
    Retrieval,
    RetrievalScores,
)
from bionemo.geneformer_t.evaluate.retrieval.retrieval_measures import (
    CUTOFF,
    RECALL,
    RECIPROCAL_RANK,
)
from bionemo.geneformer_t.table import Table, number, percent, signed, span

MANY_EDGES_IN_FEW = 0.6
"""Least number of cells that hold half of the edges, in units of that by chance."""
LARGE_HUB = 5.0
"""Largest in-degree that is not warned of, in units of the mean, unless chance has a larger one."""
_NAMES = {RECIPROCAL_RANK: "reciprocal rank", RECALL: f"recall among {CUTOFF}"}


def retrieval_tables(retrieval: Retrieval | None) -> list[Table]:
    """All tables that there is something for."""
    if retrieval is None:
        return []
    tables = [retrieval_table(retrieval), next_time_table(retrieval), cluster_table(retrieval)]
    if retrieval.clones is not None:
        tables.append(clone_table(retrieval.clones, NEAREST))
    return [table for table in tables if table is not None]


def retrieval_values(retrieval: Retrieval) -> dict[str, Any]:
    """All figures as plain values, for evaluation.json."""
    return {
        "rows": {
            name: {**_intervals(row), "hubs": asdict(row.hubs), "later": row.later}
            for name, row in retrieval.rows.items()
        },
        "next_time": {name: _intervals(row) for name, row in retrieval.next_time.items()},
        "gains": _plain(retrieval.gains),
        "next_time_gains": _plain(retrieval.next_time_gains),
        "clusters": [asdict(one) for one in retrieval.clusters],
        "num_candidates": retrieval.num_candidates,
        "clones": None if retrieval.clones is None else clone_values(retrieval.clones, NEAREST),
        "sentences": retrieval_sentences(retrieval),
    }


def retrieval_table(retrieval: Retrieval) -> Table:
    """True successors among all candidates."""
    marked = next(iter(retrieval.rows))
    return Table(
        head=[
            ["", "MRR", "", f"recall@{CUTOFF}", "", (f"highest {CUTOFF} candidates", 3)],
            ["", "", "95 % interval", "%", "95 % interval", "half are in", "largest", "later %"],
        ],
        rows=[
            [
                name,
                *_both(row),
                number(row.hubs.holding_half, 0),
                f"{number(row.hubs.largest, 1)}x",
                percent(row.later),
            ]
            for name, row in retrieval.rows.items()
        ],
        caption=(
            f"Successor retrieval: true successors of {retrieval.num_contexts:,} current cells "
            f"among {retrieval.num_candidates:,} cells of the split; how many cells hold half of "
            "the edges, and the largest in-degree in units of the mean"
        ),
        marked=[marked],
    )


def next_time_table(retrieval: Retrieval) -> Table | None:
    """True successors among the cells of the next time point; None without time points."""
    if not retrieval.next_time:
        return None
    return Table(
        head=[
            ["", "MRR", "", f"recall@{CUTOFF}", ""],
            ["", "", "95 % interval", "%", "95 % interval"],
        ],
        rows=[[name, *_both(row)] for name, row in retrieval.next_time.items()],
        caption="The same among the cells of the next time point alone",
        marked=[next(iter(retrieval.next_time))],
    )


def cluster_table(retrieval: Retrieval) -> Table | None:
    """The model by cluster of the current cell; None where clusters are not known."""
    if not retrieval.clusters:
        return None
    return Table(
        head=[["", "cells", "MRR", "over nearest cells", "95 % interval"]],
        rows=[
            [
                one.cluster,
                f"{one.cells:,}",
                number(one.model.mean),
                signed(one.gain.mean),
                span(one.gain.low, one.gain.high),
            ]
            for one in retrieval.clusters
        ],
        caption="Successor retrieval by cluster of the current cell",
    )


def retrieval_sentences(retrieval: Retrieval) -> list[str]:
    """The verdict first, then what it rests on."""
    sentences = [_verdict("among all cells", retrieval.gains)]
    if retrieval.next_time:
        sentences.append(_verdict("among cells of the next time point", retrieval.next_time_gains))
    sentences.append(
        "The truth is the graph of these cells, made in the same way as the one that the model "
        f"learned from ({TEACHER} finds all by definition): where it joins nearest cells, finding "
        "them is finding how it was built."
    )
    if retrieval.clones is not None:
        sentences.append(clone_sentence(retrieval.clones, NEAREST))
    (_, model), chance = next(iter(retrieval.rows.items())), retrieval.rows[CHANCE]
    share = model.hubs.holding_half / chance.hubs.holding_half
    if share < MANY_EDGES_IN_FEW or model.hubs.largest > max(LARGE_HUB, chance.hubs.largest):
        sentences.append(
            f"Few cells draw many edges: half of the model's are in "
            f"{number(model.hubs.holding_half, 0)} cells, where by chance they are in "
            f"{number(chance.hubs.holding_half, 0)}, and the largest in-degree is "
            f"{number(model.hubs.largest, 1)} times the mean, where by chance it is "
            f"{number(chance.hubs.largest, 1)}."
        )
    return [*sentences, *retrieval.notes]


def _intervals(row: RetrievalScores) -> dict[str, Any]:
    return {name: asdict(interval) for name, interval in row.intervals.items()}


def _plain(gains: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
    return {
        name: {measure: asdict(gain) for measure, gain in each.items()}
        for name, each in gains.items()
    }


def _verdict(where: str, gains: Mapping[str, Mapping[str, Interval]]) -> str:
    """Over all simple baselines and both measures at once."""
    found = {(name, measure): gains[name][measure] for name in SIMPLE for measure in _NAMES}
    verdicts = {gain.verdict for gain in found.values()}
    parts = "; ".join(
        f"{name}: {_NAMES[measure]} {signed(gain.mean)} ({span(gain.low, gain.high)})"
        for (name, measure), gain in found.items()
        if gain.verdict != "better" or verdicts == {"better"}
    )
    if verdicts == {"better"}:
        return f"The model finds true successors {where} better than every simple search ({parts})."
    if "too few" in verdicts or "not known" in verdicts:
        return f"Whether the model finds true successors {where} cannot be told: too few cells."
    return (
        f"The model does not find true successors {where} better than every simple search; where "
        f"it is no better: {parts}."
    )


def _both(row: RetrievalScores) -> list[str]:
    rank, found = row.intervals[RECIPROCAL_RANK], row.intervals[RECALL]
    return [
        number(rank.mean),
        span(rank.low, rank.high),
        percent(found.mean),
        span(100 * found.low, 100 * found.high, 1),
    ]
