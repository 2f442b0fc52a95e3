"""The graph report of a data folder: graph_report.json, pictures, and a table for the terminal.

`prepare` writes it for the graphs that it has made; `geneformer-t graph` writes the same for any
data folder.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality import CellFacts, GraphQuality, graph_quality
from bionemo.geneformer_t.neighbors.quality_warnings import graph_warnings
from bionemo.geneformer_t.run.graph_table import graph_table

REPORT = "graph_report.json"


@dataclass(frozen=True, kw_only=True)
class SplitGraphs:
    """The graphs of one split and what is known about its cells."""

    graphs: Mapping[str, NeighborGraph]
    """Each neighbor key and its graph."""
    facts: CellFacts
    """About the cells of the split, in the order of the graphs' rows."""
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """For each neighbor key, how many edges were left out for which reason."""


def write_graph_report(
    folder: Path,
    splits: Mapping[str, SplitGraphs],
    generator: np.random.Generator,
) -> str:
    """Measure every graph of every split and write what was found.

    Args:
        folder: Where graph_report.json and the pictures go; made where it is missing.
        splits: Name of each split and its graphs.
        generator: Draws the random pairs that edges are compared with.

    Returns:
        A table with a row for each graph, and under it the warnings in plain words.

    Raises:
        ValueError: A fact is not about the cells of its graph.
    """
    found = {
        (key, name): graph_quality(graph, split.facts, generator, split.dropped.get(key))
        for name, split in splits.items()
        for key, graph in split.graphs.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(as_json(found), indent=2, allow_nan=False)
    (folder / REPORT).write_text(content + "\n", encoding="utf-8")
    return graph_table(found)


def as_json(found: Mapping[tuple[str, str], GraphQuality]) -> dict[str, Any]:
    """The measures as plain values, by neighbor key and split; null where one was not taken."""
    graphs: dict[str, dict[str, Any]] = {}
    for (key, split), quality in found.items():
        measures = _plain(asdict(quality))
        graphs.setdefault(key, {})[split] = {
            "warnings": list(graph_warnings(quality)),
            **measures,
        }
    return {
        "unit": "shares from 0 to 1; a step is a current cell and a successor drawn by weight",
        "graphs": graphs,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
