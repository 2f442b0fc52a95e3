"""What the graph of successors is worth: measures of each split, warnings, and a picture."""

from collections.abc import Callable, Mapping

from bionemo.geneformer_t.neighbors.quality.quality import GraphQuality
from bionemo.geneformer_t.neighbors.quality.warnings import graph_warnings
from bionemo.geneformer_t.report.figures.graph_quality import Pictured, graph_quality_figure
from bionemo.geneformer_t.report.markup import Html, element, items, joined, paragraph, table
from bionemo.geneformer_t.report.numbers import number, percent
from bionemo.geneformer_t.report.page import Section
from bionemo.geneformer_t.report.pictures import Picture

_COLUMNS: dict[tuple[str, str], Callable[[GraphQuality], str]] = {
    ("cells", ""): lambda found: f"{found.num_cells:,}",
    ("edges", ""): lambda found: f"{found.num_edges:,}",
    ("no successor", "cells"): lambda found: f"{found.out_degree.num_zero:,}",
    ("forward", "% of steps"): lambda found: (
        "" if found.direction is None else percent(found.direction.forward, 0)
    ),
    ("level", "% of steps"): lambda found: (
        "" if found.direction is None else percent(found.direction.level, 0)
    ),
    ("backward", "% of steps"): lambda found: (
        "" if found.direction is None else percent(found.direction.backward, 0)
    ),
    ("two-way", "% of edges"): lambda found: (
        "" if found.reciprocity is None else percent(found.reciprocity.edges, 0)
    ),
    ("distance", "of random"): lambda found: (
        "" if found.distances is None else number(found.distances.ratio, 2)
    ),
    ("reached", "% from the root"): lambda found: (
        "" if found.reach is None else percent(found.reach.share, 0)
    ),
    ("across batches", "% of steps"): lambda found: (
        "" if found.batches is None else percent(found.batches.crossing, 0)
    ),
}
"""Heading and unit of each measure; a column that no split fills is left out."""


def graph_section(graphs: Mapping[str, Pictured]) -> Section:
    """Measures and warnings of every split's graph, and the picture of the first.

    Args:
        graphs: Each split's graph, that of the training first.
    """
    shown = {
        heads: [column(pictured.quality) for pictured in graphs.values()]
        for heads, column in _COLUMNS.items()
    }
    shown = {heads: values for heads, values in shown.items() if any(values)}
    rows = [
        [split, *(values[i] or "-" for values in shown.values())] for i, split in enumerate(graphs)
    ]
    heads = [["", *(name for name, _ in shown)], ["", *(unit for _, unit in shown)]]
    first = next(iter(graphs.values()))
    picture = Picture.of(graph_quality_figure(first), "graph", _in_words(first))
    return Section(
        name="graph",
        title="Graph quality",
        body=[
            paragraph(
                "Training takes every edge from a cell to a successor as true. These measures say "
                "whether there is reason to."
            ),
            table(heads, rows, caption="The graph of successors in each split"),
            _warnings(graphs),
            picture.shown(),
        ],
        pictures=[picture],
    )


def _warnings(graphs: Mapping[str, Pictured]) -> Html:
    found = [
        joined([element("strong", f"{split}: "), warning.sentence])
        for split, pictured in graphs.items()
        for warning in graph_warnings(pictured.quality)
    ]
    if not found:
        return paragraph("No warnings: nothing looks wrong with the graph.")
    return items(found, class_="warnings")


def _in_words(pictured: Pictured) -> str:
    quality = pictured.quality
    text = f"{pictured.title}: {quality.num_cells:,} cells and {quality.num_edges:,} edges"
    if quality.direction is not None:
        text += f", {quality.direction.forward:.0%} of the steps forward in time"
    return text + ". Panels show where steps lead, between which clusters, how far, and how many."
