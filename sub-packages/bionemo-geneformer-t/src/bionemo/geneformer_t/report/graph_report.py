"""The graph report of a data folder: graph_report.json, pictures, and a table for the terminal.

`prepare` writes it for the graphs that it has made; `geneformer-t graph` writes the same for any
data folder.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bionemo.geneformer_t.files import write_text
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.neighbors.quality.graph_warnings import graph_warnings
from bionemo.geneformer_t.neighbors.quality.quality import GraphQuality, graph_quality
from bionemo.geneformer_t.report.figures.graph_map import (
    GraphMap,
    graph_map,
    map_of_file,
    shared_map,
)
from bionemo.geneformer_t.report.figures.graph_quality import Pictured, graph_quality_figure
from bionemo.geneformer_t.report.figures.style import save
from bionemo.geneformer_t.report.graph_tables import graph_text

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
    obsm: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Maps of the cells, such as X_umap; without one, a UMAP of the representation is computed."""
    time_name: str = "time"
    """What the time of the facts is."""
    time_labels: Mapping[float, str] = field(default_factory=dict)
    """What time points are called; by default by their number."""

    def pictured(
        self, key: str, split: str, quality: GraphQuality, where: GraphMap | None
    ) -> Pictured:
        """What the picture of one graph shows.

        Args:
            key: Its neighbor key.
            split: Name of this split.
            quality: Its measures.
            where: Where its cells are drawn.
        """
        return Pictured(
            title=f"{key}, {split}",
            graph=self.graphs[key],
            quality=quality,
            facts=self.facts,
            where=where,
            time_name=self.time_name,
            time_labels=self.time_labels,
        )


def write_graph_report(
    folder: Path,
    splits: Mapping[str, SplitGraphs],
    generator: np.random.Generator,
    *,
    pictures: bool = True,
    same_axes: bool = False,
) -> str:
    """Measure every graph of every split, write what was found, and draw it.

    Args:
        folder: Where graph_report.json and a picture of each graph and split go; made where it is
            missing.
        splits: Name of each split and its graphs.
        generator: Draws the random pairs that edges are compared with, and the cells on the map.
        pictures: Whether to draw.
        same_axes: Whether the representations of all splits are coordinates on the same axes, so
            that they can share a map.

    Returns:
        A table with a row for each graph, and under it the warnings in plain words.

    Raises:
        ValueError: A fact is not about the cells of its graph.
    """
    keys = dict.fromkeys(key for split in splits.values() for key in split.graphs)
    found = {
        (key, name): graph_quality(
            split.graphs[key], split.facts, generator, split.dropped.get(key)
        )
        for key in keys
        for name, split in splits.items()
        if key in split.graphs
    }
    content = json.dumps(as_json(found), indent=2, allow_nan=False)
    write_text(folder / REPORT, content + "\n")
    if pictures:
        maps = _maps(splits, generator, same_axes=same_axes)
        for (key, name), quality in found.items():
            pictured = splits[name].pictured(key, name, quality, maps[name])
            save(graph_quality_figure(pictured), folder / picture_name(key, name))
    return graph_text(found)


def picture_name(key: str, split: str) -> str:
    """The file of a picture, whatever characters the key has."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', key)}_{split}.png"


def _maps(
    splits: Mapping[str, SplitGraphs], generator: np.random.Generator, *, same_axes: bool
) -> dict[str, GraphMap | None]:
    """Where the cells of each split are drawn."""
    maps: dict[str, GraphMap | None] = {}
    if same_axes:
        points = {name: split.facts.representation for name, split in splits.items()}
        to_compute = {
            name: of_split
            for name, of_split in points.items()
            if of_split is not None and map_of_file(splits[name].obsm) is None
        }
        if (
            len(to_compute) > 1
            and len({of_split.shape[1] for of_split in to_compute.values()}) == 1
        ):
            maps = {**shared_map(to_compute, generator)}
    for name, split in splits.items():
        if name not in maps:
            maps[name] = graph_map(split.facts.representation, split.obsm, generator)
    return maps


def as_json(found: Mapping[tuple[str, str], GraphQuality]) -> dict[str, Any]:
    """The measures as plain values, by neighbor key and split; null where one was not taken."""
    graphs: dict[str, dict[str, Any]] = {}
    for (key, split), quality in found.items():
        measures = _plain(asdict(quality))
        graphs.setdefault(key, {})[split] = {
            "warnings": [asdict(warning) for warning in graph_warnings(quality)],
            **measures,
        }
    return {
        "unit": "fractions from 0 to 1; a step is a current cell and a successor drawn by weight",
        "graphs": graphs,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
