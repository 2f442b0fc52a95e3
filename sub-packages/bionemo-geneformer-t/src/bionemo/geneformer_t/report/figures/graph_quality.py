"""The picture of a graph's quality: where its steps lead, between whom, how far, and how many.

Panels whose measure was not taken are left out and the others take their place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from matplotlib.figure import Figure
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts
from bionemo.geneformer_t.neighbors.quality.distances import Distances
from bionemo.geneformer_t.neighbors.quality.edge_blocks import groups_in_time
from bionemo.geneformer_t.neighbors.quality.quality import GraphQuality
from bionemo.geneformer_t.report.figures.cell_arrows import (
    dot_size,
    draw_cells,
    draw_mean_arrows,
)
from bionemo.geneformer_t.report.figures.cluster_flow import draw_heat_map
from bionemo.geneformer_t.report.figures.cluster_names import draw_names
from bionemo.geneformer_t.report.figures.graph_map import GraphMap, steps_on_map
from bionemo.geneformer_t.report.figures.style import (
    MODEL,
    QUIET,
    REFERENCE,
    new_figure,
    quieten,
)

_TITLE = {"loc": "left", "fontsize": 12}
_LEGEND = {"edgecolor": "none", "facecolor": "white", "framealpha": 0.9}
_MOST_COLORS = 10
_MOST_TICKS = 12
"""Time points up to which each has its colour and its tick."""
_LAYOUTS = ("A", "AB", "AB;AC", "AB;CD")
"""Where the panels go, by their number."""


@dataclass(frozen=True, kw_only=True)
class Pictured:
    """One graph, its measures, and where its cells are drawn."""

    title: str
    graph: NeighborGraph
    quality: GraphQuality
    facts: CellFacts
    where: GraphMap | None
    time_name: str = "time"
    time_labels: Mapping[float, str] = field(default_factory=dict)
    """What time points are called; by default by their number."""


def graph_quality_figure(pictured: Pictured) -> Figure:
    """All panels that there are measures for."""
    panels = _panels(pictured)
    layout = _LAYOUTS[len(panels) - 1]
    figure = new_figure(6.4 * len(layout.split(";")[0]), 4.8 * len(layout.split(";")))
    places = figure.subplot_mosaic(layout)
    for letter, draw in zip("ABCD", panels, strict=False):
        draw(places[letter])
    quality = pictured.quality
    figure.suptitle(
        f"{pictured.title}: {quality.num_cells:,} cells, {quality.num_edges:,} edges",
        x=0.01, ha="left", fontsize=15,
    )  # fmt: skip
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
    return figure


def _panels(pictured: Pictured) -> list[Callable[[Any], None]]:
    """What there is to draw, in the order of reading."""
    quality, where, has_edges = pictured.quality, pictured.where, pictured.quality.num_edges > 0
    panels: list[Callable[[Any], None]] = []
    if where is not None and has_edges:
        panels.append(partial(_draw_map, pictured=pictured, where=where))
    if quality.clusters is not None and has_edges:
        panels.append(partial(draw_heat_map, flow=quality.clusters, leaks=quality.leakage))
    if quality.distances is not None:
        panels.append(partial(_draw_distances, found=quality.distances))
    return [*panels, partial(_draw_degrees, graph=pictured.graph)]


def _draw_map(axes: Any, pictured: Pictured, where: GraphMap) -> None:
    time = pictured.facts.time
    if time is None or not np.isfinite(time[where.drawn]).any():
        colors = _few_labels(pictured.facts.cluster, where)
        draw_cells(axes, where.coordinates, colors, dot_size(len(where.drawn)))
    else:
        _draw_times(axes, where, time, pictured)
    starts, ends = steps_on_map(pictured.graph, where)
    if len(starts):
        share = draw_mean_arrows(axes, starts, ends - starts)
        axes.set_xlabel(
            f"{where.name}; mean steps, at {share:.0%} of their length or less",
            fontsize=10, color="#444444", loc="left",
        )  # fmt: skip
    if pictured.facts.cluster is not None:
        draw_names(axes, where.coordinates, pictured.facts.cluster[where.drawn])
    axes.set_title("Where steps lead", **_TITLE)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _few_labels(
    cluster: pd.Categorical | None, where: GraphMap
) -> Shaped[ndarray, " drawn_cell"] | None:
    """Clusters to colour by, while they are few enough to be told apart."""
    if cluster is None or len(cluster.categories) > _MOST_COLORS:
        return None
    return np.array([str(label) for label in cluster[where.drawn]])


def _draw_times(
    axes: Any, where: GraphMap, time: Float[ndarray, " cell"], pictured: Pictured
) -> None:
    """Colour cells by time; time points by their order, so that days 0, 6 and 60 differ alike."""
    known = np.isfinite(time[where.drawn])
    draw_cells(axes, where.coordinates[~known], None, dot_size(len(where.drawn)))
    groups, are_points = groups_in_time(time)
    points = np.unique(time[np.isfinite(time)])
    by_order = are_points and len(points) <= _MOST_TICKS
    values = np.asarray(groups if by_order else time, dtype=np.float64)[where.drawn][known]
    dots = draw_cells(axes, where.coordinates[known], values, dot_size(len(where.drawn)))
    bar = axes.figure.colorbar(dots, ax=axes, label=pictured.time_name, shrink=0.6, aspect=25)
    if by_order:
        labels = [pictured.time_labels.get(point, f"{point:g}") for point in points.tolist()]
        dots.set_clim(0, len(points) - 1)
        bar.set_ticks(range(len(points)), labels=labels)
    bar.outline.set_visible(False)
    bar.solids.set_alpha(1)


def _draw_distances(axes: Any, found: Distances) -> None:
    style = {
        "random": (QUIET, "a random cell"),
        "same_time": (REFERENCE, "a random cell of the successor's time point"),
        "successor": (MODEL, "a successor"),
    }
    bins = np.array(found.bins)
    for name, (color, label) in style.items():
        if name in found.histograms:
            shares = 100 * np.array(found.histograms[name])
            axes.stairs(shares, bins, fill=True, color=color, alpha=0.25)
            axes.stairs(shares, bins, color=color, linewidth=1.8, label=f"to {label}")
            axes.axvline(getattr(found, name), color=color, linewidth=1, linestyle=":")
    whom = "a random cell" if found.same_time is None else "a random cell of its time point"
    axes.set_title(f"A successor is {found.ratio:.2f} times as far as {whom}", **_TITLE)
    axes.set_xlabel("distance in expression")
    axes.set_ylabel("% of steps")
    axes.set_xlim(0, bins[-1])
    axes.set_ylim(0, axes.get_ylim()[1] * 1.25)
    axes.legend(**_LEGEND, loc="upper left")
    quieten(axes)


def _draw_degrees(axes: Any, graph: NeighborGraph) -> None:
    out, received = graph.out_degree, graph.in_degree
    maximum = int(max(out.max(), received.max()))
    limits = degree_limits(maximum)
    places = np.arange(len(limits) - 1)
    for shift, count, color, label in (
        (-0.2, out, MODEL, "successors of a cell"),
        (0.2, received, REFERENCE, "cells that it is a successor of"),
    ):
        shares = 100 * np.histogram(count, bins=limits)[0] / len(count)
        axes.bar(places + shift, shares, width=0.4, color=color, label=label)
    labels = [
        f"{low}" if high - low == 1 else f"{low}-{high - 1}" for low, high in pairwise(limits)
    ]
    labels[-1] = labels[-1] if maximum <= 12 else f"{limits[-2]}+"
    axes.set_xticks(places, labels)
    axes.set_title("Successors, and cells that they follow", **_TITLE)
    axes.set_xlabel("number")
    axes.set_ylabel("% of cells")
    axes.set_ylim(0, axes.get_ylim()[1] * 1.2)
    axes.legend(**_LEGEND, loc="upper right")
    quieten(axes)


def degree_limits(maximum: int) -> Int[ndarray, " limit"]:
    """Where bins of degrees begin: 0, 1, 2 and so on while they are few, else 0, 1, 2, 3, 5, 9."""
    if maximum <= 12:
        return np.arange(maximum + 2)
    return np.concatenate([np.arange(3), 1 + 2 ** np.arange(1, int(np.log2(maximum - 1)) + 2)])
