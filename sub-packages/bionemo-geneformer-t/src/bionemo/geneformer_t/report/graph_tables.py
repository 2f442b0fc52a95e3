"""The table of measures of graphs, of the report and of `graph`, and the warnings under it."""

from collections.abc import Iterable, Mapping, Sequence

from bionemo.geneformer_t.neighbors.quality.graph_warnings import graph_warnings
from bionemo.geneformer_t.neighbors.quality.quality import GraphQuality
from bionemo.geneformer_t.table import Table, wrapped

_EXPLAINED = {
    "forward": "forward, backward: fraction of the steps to a later, to an earlier cell",
    "level": "level: fraction of the steps between cells of the same time",
    "two-way": "two-way: fraction of the edges whose reverse is in the graph too",
    "distance": "distance: to a successor, over that to a random cell (of its time point)",
    "reached": "reached: fraction of cells that edges reach from the root or the earliest cells",
    "leaks": "leaks: fraction of the steps to a cluster that PAGA does not connect (by chance)",
    "cross batch": "cross batch: fraction of the steps to another batch (by chance)",
}
"""What a column of the measures of graphs is."""


def graph_table(
    found: Iterable[tuple[tuple[str, ...], GraphQuality]], names: Sequence[str], caption: str = ""
) -> Table:
    """One row for each graph; a measure that was taken of none has no column.

    Args:
        found: What each graph is called, and its measures.
        names: Headings of what it is called, such as its key and its split.
        caption: What the table holds.
    """
    rows = [dict(zip(names, called, strict=True)) | _row(quality) for called, quality in found]
    taken = [name for name in rows[0] if any(row[name] for row in rows)]
    return Table(
        head=[taken],
        rows=[[row[name] or "-" for name in taken] for row in rows],
        caption=caption,
        left=range(len(names)),
    )


def _row(quality: GraphQuality) -> dict[str, str]:
    direction, distances, reach = quality.direction, quality.distances, quality.reach
    batches, reciprocity, leaks = quality.batches, quality.reciprocity, quality.leakage
    return {
        "cells": f"{quality.num_cells:,}",
        "edges": f"{quality.num_edges:,}",
        "no successor": f"{quality.out_degree.num_zero:,}",
        "forward": "" if direction is None else f"{direction.forward:.0%}",
        "level": f"{direction.level:.0%}" if direction is not None and direction.level else "",
        "backward": "" if direction is None else f"{direction.backward:.0%}",
        "two-way": "" if reciprocity is None else f"{reciprocity.edges:.0%}",
        "distance": "" if distances is None else f"{distances.ratio:.2f}",
        "reached": "" if reach is None else f"{reach.share:.0%}",
        "leaks": "" if leaks is None else f"{leaks.fraction:.0%} ({leaks.expected:.0%})",
        "cross batch": ""
        if batches is None
        else f"{batches.crossing:.0%} ({batches.expected:.0%})",
    }


def measures_explained(table: Table) -> list[str]:
    """What the columns of a table of graphs are."""
    return [about for name, about in _EXPLAINED.items() if name in table.head[0]]


def graph_text(found: Mapping[tuple[str, str], GraphQuality]) -> str:
    """The measures of graphs, what they are, and the warnings.

    Args:
        found: Measures by neighbor key and split.
    """
    table = graph_table(found.items(), ["graph", "split"])
    explained = [f"  {about}" for about in measures_explained(table)]
    return "\n".join([table.text(), *explained, *_warnings(found)])


def _warnings(found: Mapping[tuple[str, str], GraphQuality]) -> list[str]:
    """One paragraph for each graph and kind of warning, in the figures of the first split."""
    sentences: dict[tuple[str, str], str] = {}
    splits: dict[tuple[str, str], list[str]] = {}
    for (key, split), quality in found.items():
        for warning in graph_warnings(quality):
            sentences.setdefault((key, warning.kind), warning.sentence)
            splits.setdefault((key, warning.kind), []).append(split)
    lines = []
    for (key, kind), sentence in sentences.items():
        first, *others = splits[key, kind]
        also = f" The same in {' and '.join(others)}." if others else ""
        lines += ["", *wrapped(f"warning: {key}, {first}: {sentence}{also}")]
    return lines or ["", "no warnings: every measure is within its limits"]
