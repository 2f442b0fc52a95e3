"""Measures of graphs as a short table, with the warnings under it."""

import textwrap
from collections.abc import Mapping

from bionemo.geneformer_t.neighbors.quality.quality import GraphQuality
from bionemo.geneformer_t.neighbors.quality.warnings import graph_warnings

_WIDTH = 100
_LEGEND = {
    "forward": "forward, backward: share of the steps to a later, to an earlier cell",
    "level": "level: share of the steps between cells of the same time",
    "two-way": "two-way: share of the edges whose reverse is there too",
    "distance": "distance: to a successor, over that to a random cell (of its time point)",
    "reached": "reached: share of the cells where edges lead from the root, or the earliest cells",
    "cross batch": "cross batch: share of the steps to another batch (by chance)",
}
"""What a column means."""


def graph_table(found: Mapping[tuple[str, str], GraphQuality]) -> str:
    """One row for each graph and split; a column without any value is left out.

    Args:
        found: Measures by neighbor key and split.
    """
    rows = [
        {"graph": key, "split": split} | _row(quality) for (key, split), quality in found.items()
    ]
    names = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]
    lines = [_line(names, widths)]
    lines += [_line([row[name] for name in names], widths) for row in rows]
    return "\n".join([*lines, *_legend(names), *_warnings(found)])


def _row(quality: GraphQuality) -> dict[str, str]:
    direction, distances, reach = quality.direction, quality.distances, quality.reach
    batches, reciprocity = quality.batches, quality.reciprocity
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
        "cross batch": ""
        if batches is None
        else f"{batches.crossing:.0%} ({batches.expected:.0%})",
    }


def _line(cells: list[str], widths: list[int]) -> str:
    first, second, *rest = zip(cells, widths, strict=True)
    left = [text.ljust(width) for text, width in (first, second)]
    return "  ".join([*left, *(text.rjust(width) for text, width in rest)]).rstrip()


def _legend(names: list[str]) -> list[str]:
    return [f"  {text}" for name, text in _LEGEND.items() if name in names]


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
        text = f"warning: {key}, {first}: {sentence}{also}"
        lines += ["", *textwrap.wrap(text, _WIDTH, subsequent_indent="  ")]
    return lines or ["", "no warnings: nothing looks wrong"]
