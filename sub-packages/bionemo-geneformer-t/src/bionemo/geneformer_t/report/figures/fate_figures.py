"""Figures of the report's section on fates, from arrays; `gft.pl` draws the same panels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from bionemo.geneformer_t.neighbors.quality.composition import flow_of_edges
from bionemo.geneformer_t.neighbors.quality.edge_blocks import EdgeBlock
from bionemo.geneformer_t.report.figures.cell_arrows import dot_size, draw_cells
from bionemo.geneformer_t.report.figures.cluster_flow import draw_heat_map, short_names
from bionemo.geneformer_t.report.figures.cluster_names import draw_names
from bionemo.geneformer_t.report.figures.fate_bars import bar_order, draw_bars, mean_fates
from bionemo.geneformer_t.report.figures.fate_map import (
    bare,
    draw_labels,
    draw_values,
    legend_beside,
)
from bionemo.geneformer_t.report.figures.fate_triangle import barycentric, draw_triangle
from bionemo.geneformer_t.report.figures.style import category_colors, colors_among, new_figure
from bionemo.geneformer_t.report.figures.transition_arrows import (
    draw_transition_arrows,
    transition_moves,
)
from bionemo.geneformer_t.report.figures.volcano import draw_drivers

_ACROSS = 3
_LABELS = 12
NO_FATE = "no fate can be reached"
"""What it means that a cell has no fate probabilities."""


def fate_maps_figure(
    coordinates: Float[ndarray, "cell 2"],
    fates: pd.DataFrame,
    entropy: Float[ndarray, " cell"],
    terminal: "pd.Categorical[Any] | None",
) -> Figure:
    """A panel for each fate, and one of the entropy.

    Args:
        coordinates: The place of each cell.
        fates: Probabilities, cells x fates.
        entropy: Of each cell's fates, in nats.
        terminal: The terminal state of each cell, where it is in one.
    """
    names = list(fates.columns)
    down = -(-(len(names) + 1) // _ACROSS)
    figure = new_figure(3.8 * _ACROSS, 3.2 * down)
    panels = figure.subplots(down, _ACROSS, squeeze=False).ravel()
    for axes, name, title in zip(panels, names, short_names(names, 32), strict=False):
        draw_values(
            axes, coordinates, fates[name].to_numpy(dtype=np.float64), title=title,
            name="fate probability", limits=(0.0, 1.0), missing=NO_FATE,
            terminal=None if terminal is None else np.asarray(terminal == name),
        )  # fmt: skip
    draw_values(
        panels[len(names)], coordinates, entropy, title="fate entropy", name="nats",
        limits=(0.0, most_entropy(len(names))), missing=NO_FATE,
    )  # fmt: skip
    for axes in panels[len(names) + 1 :]:
        axes.remove()
    return figure


def fate_shares_figure(fates: pd.DataFrame, cluster: "pd.Categorical[Any]") -> Figure:
    """Mean fates by cluster as bars; beside them a triangle of all cells where fates are three."""
    names, labels = list(fates.columns), [str(label) for label in cluster.categories]
    values, is_triangle = fates.to_numpy(dtype=np.float64), len(names) == 3
    height = max(1.3 + 0.34 * len(labels), 4.0 if is_triangle else 0.0)
    figure = new_figure(12.4 if is_triangle else 8.4, height)
    panels = figure.subplots(1, 2 if is_triangle else 1, squeeze=False)[0]
    means, cells = mean_fates(values, np.asarray(cluster.codes, dtype=np.int64), len(labels))
    order = bar_order(means, is_ordered=bool(cluster.ordered))
    of_fates = list(colors_among(names, labels).values())
    rows = [labels[place] for place in order]
    draw_bars(panels[0], means[order], cells[order], rows, names, of_fates)
    if is_triangle:
        known = np.isfinite(values).all(axis=1)
        colors = dict(zip(labels, category_colors(len(labels)), strict=True))
        draw_labels(panels[1], barycentric(values[known]), texts(cluster)[known], colors)
        draw_triangle(panels[1], tuple(names))
        legend_beside(panels[1])
    return figure


def steps_figure(
    coordinates: Float[ndarray, "cell 2"],
    map_name: str,
    transitions: sp.csr_array,
    cluster: "pd.Categorical[Any] | None",
    rng: np.random.Generator,
) -> Figure:
    """Arrows of the expected steps beyond density, and the flow between clusters where known."""
    figure = new_figure(6.4 if cluster is None else 12.4, 4.8)
    panels = figure.subplots(1, 1 if cluster is None else 2, squeeze=False)[0]
    if cluster is None:
        draw_cells(panels[0], coordinates, None, dot_size(len(coordinates)))
    else:
        labels = [str(label) for label in cluster.categories]
        colors = dict(zip(labels, category_colors(len(labels)), strict=True))
        draw_labels(panels[0], coordinates, texts(cluster), colors)
    bare(panels[0], "Where cells go")
    found = transition_moves(transitions, coordinates, rng)
    draw_transition_arrows(panels[0], coordinates, found, map_name)
    if cluster is not None:
        draw_names(panels[0], coordinates, cluster)
        draw_heat_map(panels[1], flow_of_edges([steps_of(transitions)], cluster))
    return figure


def driver_figure(table: pd.DataFrame, fates: Sequence[str], fdr: float) -> Figure:
    """A volcano for each fate, or its largest effects where there are no p-values.

    Args:
        table: As `gft.tl.drivers` makes it.
        fates: Which of its fates.
        fdr: False discovery rate below which genes count as found.
    """
    down = -(-len(fates) // _ACROSS)
    across = min(_ACROSS, len(fates))
    figure = new_figure(4.6 * across, 4.2 * down)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels[len(fates) :]:
        axes.remove()
    for axes, name in zip(panels, fates, strict=False):
        draw_drivers(axes, table, name, num_labels=_LABELS, fdr=fdr)
    return figure


def texts(labels: "pd.Categorical[Any]") -> ndarray:
    """Labels as an array of text, empty where there is none."""
    names = np.array([*map(str, labels.categories), ""], dtype=object)
    return names[np.asarray(labels.codes)].astype(str)


def most_entropy(number: int) -> float:
    """The entropy of so many fates that are equally probable, and more than 0 for one."""
    return max(float(np.log(number)), 0.1)


def steps_of(transitions: sp.csr_array) -> EdgeBlock:
    """All transitions, those of a cell to itself too."""
    current = np.repeat(np.arange(transitions.shape[0]), np.diff(transitions.indptr))
    return EdgeBlock(current=current, successor=transitions.indices, probability=transitions.data)
