"""Figures of the report's section on perturbations, from tables; `gft.pl` draws the same panels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from numpy import ndarray

from bionemo.geneformer_t.perturbation.readouts import SCREEN_EFFECT
from bionemo.geneformer_t.report.figures.cluster_effects import draw_cluster_effects
from bionemo.geneformer_t.report.figures.fate_changes import draw_fate_changes
from bionemo.geneformer_t.report.figures.perturbation_volcano import (
    draw_effects_and_nulls,
    limits_of,
    name_effects,
)
from bionemo.geneformer_t.report.figures.style import new_figure

LEAST_CELLS = 10
"""Affected cells of a cluster, at least, for its effect to be shown."""
NUM_LABELS = 12
"""Genes that a panel names at most."""
_ACROSS = 3


def rows_of(table: pd.DataFrame, readout: str) -> pd.DataFrame:
    """The rows of one readout."""
    return table[table["readout"].astype(str) == readout]


def controls_of(table: pd.DataFrame) -> list[str]:
    """The names of the controls that a table of effects has."""
    names = [column.removesuffix("_z") for column in table.columns if column.endswith("_z")]
    return [name for name in names if f"{name}_fdr" in table]


def first_symbols(rows: pd.DataFrame, number: int) -> list[str]:
    """The symbols of the targets of a readout with the smallest p-values, then largest |z|."""
    order = np.lexsort((-rows["z"].abs(), rows["p_value"]))
    return rows["symbol"].astype(str).iloc[order[:number]].to_list()


def volcano_panels(
    table: pd.DataFrame, readout: str, controls: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """What each panel of a readout draws, by its title: the model, then each control.

    The nulls of controls are not in the table.
    """
    found = rows_of(table, readout)
    panels = {readout: found}
    kept = found[[name for name in ("target", "symbol", SCREEN_EFFECT) if name in found]]
    for control in controls:
        numbers = {name: found[f"{control}_{name}"] for name in ("effect", "z", "fdr")}
        panels[f"{readout}: {control}"] = kept.assign(**numbers)
    return panels


def draw_volcanoes(
    panels: Sequence[Any],
    readouts: Sequence[Mapping[str, pd.DataFrame]],
    *,
    fdr: float,
    num_labels: int,
) -> None:
    """Draw the panels of some readouts, those of one readout on the same scale.

    Args:
        panels: Axes, one for each panel.
        readouts: What `volcano_panels` gives for each.
        fdr: Rate of false discoveries below which a gene is coloured and may be named.
        num_labels: Genes to name in a panel.
    """
    every = iter(panels)
    drawn = []
    for shown in readouts:
        room = [limits_of(rows, num_labels) for rows in shown.values()]
        limits = max(one for one, _ in room), max(one for _, one in room)
        for title, rows in shown.items():
            axes = next(every)
            draw_effects_and_nulls(axes, rows, title, fdr=fdr, num_labels=num_labels, limits=limits)
            drawn.append((axes, rows))
    for figure in dict.fromkeys(axes.figure.get_figure(root=True) for axes in panels):
        figure.draw_without_rendering()  # the layout decides how much room there is for names
    for axes, rows in drawn:
        name_effects(axes, rows, fdr=fdr, num_labels=num_labels)


def volcano_figure(table: pd.DataFrame, readouts: Sequence[str], fdr: float) -> Figure:
    """A panel for each readout; with controls, a row for each, the controls beside the model."""
    controls = controls_of(table)
    across = len(controls) + 1 if controls else min(_ACROSS, len(readouts))
    down = len(readouts) if controls else -(-len(readouts) // across)
    figure = new_figure(4.6 * max(across, 2), 4.2 * down)
    every = list(figure.subplots(down, across, squeeze=False).ravel())
    number = len(readouts) * (len(controls) + 1)
    for axes in every[number:]:
        axes.remove()
    shown = [volcano_panels(table, readout, controls) for readout in readouts]
    draw_volcanoes(every[:number], shown, fdr=fdr, num_labels=NUM_LABELS)
    return figure


def effects_in_clusters(
    by_cluster: pd.DataFrame, readout: str, symbols: Sequence[str]
) -> tuple[Float[ndarray, "gene cluster"], Int[ndarray, "gene cluster"], list[str]]:
    """Effects and affected cells of some targets in each cluster, and the clusters."""
    own = rows_of(by_cluster, readout)
    clusters = [str(label) for label in dict.fromkeys(own["cluster"])]
    effects, cells = (
        own.pivot_table(index="symbol", columns="cluster", values=values, observed=True).reindex(
            index=list(symbols), columns=clusters
        )
        for values in ("effect", "cells")
    )
    return effects.to_numpy(np.float64), cells.fillna(0).to_numpy(np.int64), clusters


def cluster_effects_figure(
    table: pd.DataFrame, by_cluster: pd.DataFrame, readouts: Sequence[str], num_genes: int
) -> Figure:
    """A heat map for each readout, of its first genes in each cluster."""
    names = [first_symbols(rows_of(table, readout), num_genes) for readout in readouts]
    number = len(dict.fromkeys(by_cluster["cluster"]))
    width, height = 2.6 + 0.75 * number, 1.4 + 0.32 * max(map(len, names))
    across = min(len(readouts), max(1, int(_ACROSS * 4.6 // width)))
    down = -(-len(readouts) // across)
    figure = new_figure(width * across, height * down)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, readout, symbols in zip(panels, readouts, names, strict=False):
        effects, cells, clusters = effects_in_clusters(by_cluster, readout, symbols)
        draw_cluster_effects(
            axes, effects, cells, symbols, clusters, title=readout, min_cells=LEAST_CELLS
        )
    for axes in panels[len(readouts) :]:
        axes.remove()
    return figure


@dataclass(frozen=True, kw_only=True)
class FateChange:
    """Mean fates of the affected cells of one target, as far as their fates are known."""

    symbol: str
    before: Float[ndarray, " fate"]
    after: Float[ndarray, " fate"]
    cells: int

    @classmethod
    def of(
        cls, symbol: str, fates: pd.DataFrame, effects: Sequence[pd.DataFrame]
    ) -> "FateChange | None":
        """Add the mean effects to the mean fates of the same cells.

        Args:
            symbol: Of the target.
            fates: Probabilities, cells x fates; NaN in cells that reach no terminal state.
            effects: Of each fate, cells x targets; NaN where an edit does nothing.

        Returns:
            None where no cell has both fates and effects.
        """
        changes = np.column_stack([table[symbol] for table in effects]).astype(np.float64)
        probabilities = fates.to_numpy(dtype=np.float64)
        held = np.isfinite(changes).all(axis=1) & np.isfinite(probabilities).all(axis=1)
        if not held.any():
            return None
        before = probabilities[held].mean(axis=0)
        after = np.clip(before + changes[held].mean(axis=0), 0, 1)
        return cls(symbol=symbol, before=before, after=after, cells=int(held.sum()))

    def draw(self, axes: Any, fates: Sequence[str], colors: Sequence[str]) -> None:
        """Two bars for each fate."""
        draw_fate_changes(axes, self.before, self.after, fates, colors, self.symbol)
        note = f"grey before, coloured after; {self.cells:,} affected cells"
        axes.set_xlabel(f"mean fate probability, %\n{note}", fontsize=8)


def first_fate_changes(
    symbols: Sequence[str], fates: pd.DataFrame, effects: Sequence[pd.DataFrame], most: int
) -> list[FateChange]:
    """The changes of up to so many targets, the first that change cells with fates.

    Args:
        symbols: Of the targets, in the order in which they are tried.
        fates: As for `FateChange.of`.
        effects: As for `FateChange.of`.
        most: How many.
    """
    changes = (FateChange.of(symbol, fates, effects) for symbol in symbols)
    return list(islice((change for change in changes if change is not None), most))


def fate_changes_figure(
    changes: Sequence[FateChange], fates: Sequence[str], colors: Sequence[str]
) -> Figure:
    """A panel for each target."""
    across = min(_ACROSS, len(changes))
    down = -(-len(changes) // across)
    figure = new_figure(max(4.2 * across, 6.0), (1.1 + 0.42 * len(fates)) * down)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, change in zip(panels, changes, strict=False):
        change.draw(axes, fates, colors)
    for axes in panels[len(changes) :]:
        axes.remove()
    return figure
