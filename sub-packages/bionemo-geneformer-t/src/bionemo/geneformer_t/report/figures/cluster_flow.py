"""Which cluster's cells become which cluster's, as a heat map."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle
from numpy import ndarray

from bionemo.geneformer_t.neighbors.quality.composition import ClusterFlow, order_along_flow
from bionemo.geneformer_t.neighbors.quality.leakage import Leakage
from bionemo.geneformer_t.report.figures.style import MODEL, REFERENCE

MOST_CLUSTERS = 30
"""Clusters that are shown: those with most edges."""
_MOST_FIGURES = 14
"""Clusters up to which percentages are written into the squares."""
_LEAST_DRAWN = 0.005
"""Fraction of a cluster's steps from which on a square has a figure, or a frame."""
_MOST_LETTERS = 18
_MOST_LETTERS_ACROSS = 45
_BREAKS = " _-/"
"""Between words of a label."""
_SHADES = LinearSegmentedColormap.from_list("shares", ["#f4f7f9", MODEL, "#06364b"])


def draw_heat_map(axes: Any, flow: ClusterFlow, leaks: Leakage | None = None) -> None:
    """Draw the fraction of each cluster's steps (a row) that go to each cluster (a column).

    Args:
        axes: Where to draw.
        flow: The fractions.
        leaks: Pairs that steps leak between; those that are drawn with a figure get a frame.
    """
    chosen = most_connected(flow)
    percent = 100 * flow.shares[np.ix_(chosen, chosen)]
    names = short_names([flow.labels[i] for i in chosen])
    has_steps = flow.num_edges[chosen].sum(axis=1) > 0
    shown = np.where(has_steps[:, None], percent, np.nan)
    most = 10 * max(np.ceil(percent.max() / 10), 1)
    image = axes.imshow(shown, cmap=_SHADES, vmin=0, vmax=most, aspect="auto")
    size = 10 if len(chosen) <= _MOST_FIGURES else 7
    turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    is_long = len(names) * max(map(len, names)) > _MOST_LETTERS_ACROSS
    axes.set_xticks(range(len(names)), names, fontsize=size, **(turned if is_long else {}))
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(1, len(names)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(names)) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    if len(chosen) <= _MOST_FIGURES:
        _write_figures(axes, percent, most)
    for row in np.flatnonzero(~has_steps):
        axes.text(-0.4, row, "no successors", va="center", fontsize=9, color="#777777")
    framed = leaks is not None and _frame_leaks(axes, flow, leaks, chosen)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, label="% of the row's steps")
    bar.outline.set_visible(False)
    left_out = len(flow.labels) - len(chosen)
    more = f" ({left_out} clusters with fewer edges left out)" if left_out else ""
    axes.set_title(f"From cluster (row) to cluster (column){more}", loc="left", fontsize=12)
    if framed:
        axes.set_xlabel("framed: not connected by PAGA", fontsize=10, color=REFERENCE, loc="left")


def _frame_leaks(
    axes: Any, flow: ClusterFlow, leaks: Leakage, chosen: Int[ndarray, " shown"]
) -> bool:
    """Frame the squares of leaking pairs; whether there are any."""
    place = {flow.labels[label]: number for number, label in enumerate(chosen.tolist())}
    drawn = [
        (place[pair.source], place[pair.target])
        for pair in leaks.pairs
        if pair.fraction >= _LEAST_DRAWN and pair.source in place and pair.target in place
    ]
    for row, column in drawn:
        corner = column - 0.47, row - 0.47
        axes.add_patch(
            Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=REFERENCE, linewidth=2.2)
        )
    return bool(drawn)


def most_connected(flow: ClusterFlow) -> Int[ndarray, " shown"]:
    """The clusters with most edges, in their own order or else from where steps come from on."""
    degree = flow.num_edges.sum(axis=0) + flow.num_edges.sum(axis=1)
    shown = np.argsort(-degree, kind="stable")[:MOST_CLUSTERS]
    if flow.is_ordered:
        return np.sort(shown)
    along = order_along_flow(flow)
    return along[np.isin(along, shown)]


def short_name(label: str, most: int = _MOST_LETTERS) -> str:
    """A label that leaves room for the picture."""
    return label if len(label) <= most else f"{label[: most - 1]}…"


def short_names(labels: Sequence[str], most: int = _MOST_LETTERS) -> list[str]:
    """Labels that leave room for the picture, and stay different where they are.

    Of labels that would be cut to the same text, what they begin with alike is left out, or all of
    it but its first letters; labels that are not told apart so are left whole.
    """
    names = {label: short_name(label, most) for label in labels}
    rest = {label: label[_common_words(group) :] for group in _alike(names) for label in group}
    names |= {label: short_name(f"…{end}", most) for label, end in rest.items()}
    alike = [label for group in _alike(names) for label in group]
    names |= {label: short_name(f"{label[:6]}…{rest.get(label, label)}", most) for label in alike}
    names |= {label: label for group in _alike(names) for label in group}
    return [names[label] for label in labels]


def _alike(names: Mapping[str, str]) -> list[list[str]]:
    """Groups of labels that have the same short name."""
    groups: dict[str, list[str]] = {}
    for label, name in names.items():
        groups.setdefault(name, []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def _common_words(labels: Sequence[str]) -> int:
    """How many letters labels begin with alike, up to the end of a word if there is one."""
    low, high = min(labels), max(labels)
    pairs = zip(low, high, strict=False)
    alike = next((i for i, (one, other) in enumerate(pairs) if one != other), len(low))
    return max(low.rfind(mark, 0, alike) for mark in _BREAKS) + 1 or alike


def _write_figures(axes: Any, percent: Float[ndarray, "row column"], most: float) -> None:
    for (row, column), value in np.ndenumerate(percent):
        if value >= 100 * _LEAST_DRAWN:
            color = "white" if value > 0.45 * most else "#222222"
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", fontsize=9, color=color
            )
