"""The report's section on fates: where each cell goes, by which steps, and with which genes.

In: what `gft.tl.transitions`, `gft.tl.fates` and `gft.tl.drivers` compute, as arrays. Out: what the
template shows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.special import entr

from bionemo.geneformer_t.false_discoveries import FDR
from bionemo.geneformer_t.report.figures.fate_bars import mean_fates
from bionemo.geneformer_t.report.figures.fate_figures import (
    driver_figure,
    fate_maps_figure,
    fate_shares_figure,
    steps_figure,
)
from bionemo.geneformer_t.report.figures.volcano import (
    drivers_of,
    most_permutations,
    order_of_drivers,
    readable,
)
from bionemo.geneformer_t.report.page import Section
from bionemo.geneformer_t.report.pictures import Picture
from bionemo.geneformer_t.table import Table, number, percent, signed

MOST_FATES = 11
"""Fates that are drawn and listed: those with the highest mean probability."""
_LISTED = 8
"""Driver genes of each fate in the table."""


@dataclass(frozen=True, kw_only=True)
class FateResults:
    """Fates of the cells of one set, and what they were computed from."""

    fates: pd.DataFrame
    """Probabilities, cells x fates; rows of NaN for cells that reach none."""
    coordinates: Float[ndarray, "cell 2"]
    map_name: str
    """What the coordinates are."""
    terminal: "pd.Categorical[Any] | None" = None
    """The terminal state of each cell, where it is in one."""
    steps: Float[ndarray, " cell"] | None = None
    """Expected number of steps to a terminal state."""
    cluster: "pd.Categorical[Any] | None" = None
    transitions: sp.csr_array | None = None
    """Cells x cells, rows sum to 1."""
    drivers: pd.DataFrame | None = None
    """As `gft.tl.drivers` makes it."""
    by_choice: pd.DataFrame | None = None
    """As `gft.tl.compare_fates` makes it."""
    driver_notes: Sequence[str] = ()
    """What `gft.tl.drivers` says of its units and of what it left out."""
    notes: Sequence[str] = ()
    """What else there is to say, such as whose transitions the fates follow."""

    @property
    def reaches(self) -> Bool[ndarray, " cell"]:
        """Which cells reach a fate."""
        return np.asarray(np.isfinite(self.fates.to_numpy(dtype=np.float64)).all(axis=1))

    @property
    def entropy(self) -> Float[ndarray, " cell"]:
        """Of the fates of each cell, in nats; NaN where it reaches none."""
        return np.asarray(entr(self.fates.to_numpy(dtype=np.float64).clip(0)).sum(axis=1))

    def drawn(self) -> pd.DataFrame:
        """The fates that there is room for, in their order."""
        means = self.fates.mean().to_numpy(dtype=np.float64)
        return self.fates.iloc[:, np.sort(np.argsort(-means, kind="stable")[:MOST_FATES])]


def fate_section(found: FateResults, seed: int = 0) -> Section:
    """What the section shows; a part that was not computed is left out.

    Args:
        found: FateResults and what belongs to them.
        seed: Of the samples of cells that arrows are drawn from.

    Raises:
        ValueError: Arrays are of different numbers of cells, or no cell reaches a fate.
    """
    _check(found)
    drawn, rng = found.drawn(), np.random.default_rng(seed)
    maps = fate_maps_figure(found.coordinates, drawn, found.entropy, found.terminal)
    section: Section = {
        "sentences": [*_sentences(found), *found.notes],
        "names": list(drawn.columns),
        "map": found.map_name,
        "maps": Picture.of(maps, "fate_maps"),
        "shares": None,
        "table": None,
        "choices": None,
        "steps": None,
        "drivers": None,
    }
    if found.cluster is not None:
        section["shares"] = Picture.of(fate_shares_figure(drawn, found.cluster), "fates_by_cluster")
        section["table"] = _cluster_table(found, found.cluster)
    if found.by_choice is not None and len(found.by_choice):
        section["choices"] = _choice_table(found.by_choice)
    if found.transitions is not None:
        steps = steps_figure(
            found.coordinates, found.map_name, found.transitions, found.cluster, rng
        )
        section["steps"] = Picture.of(steps, "fate_steps")
    if found.drivers is not None and len(found.drivers):
        section |= _drivers(found.drivers, list(drawn.columns), found.driver_notes)
    return section


def _check(found: FateResults) -> None:
    size = len(found.fates)
    given = {
        "coordinates": found.coordinates,
        "terminal": found.terminal,
        "steps": found.steps,
        "cluster": found.cluster,
    }
    lengths = {name: len(values) for name, values in given.items() if values is not None}
    if found.transitions is not None:
        lengths["transitions"] = found.transitions.shape[0]
    wrong = {name: length for name, length in lengths.items() if length != size}
    if wrong:
        said = ", ".join(f"{name} of {length:,}" for name, length in wrong.items())
        raise ValueError(f"the fates are of {size:,} cells, but {said}")
    if not found.reaches.any():
        raise ValueError("no cell reaches a fate, so there is nothing to show")


def _sentences(found: FateResults) -> Iterator[str]:
    """How many cells, how sure they are, and how far they have to go."""
    reaches, number_of = found.reaches, len(found.fates.columns)
    ends = np.zeros(len(reaches), dtype=bool)
    terminal = ""
    if found.terminal is not None:
        ends = np.asarray(found.terminal.codes) >= 0
        counts = found.terminal.value_counts()
        each = (f"{name} {int(counts.get(name, 0)):,}" for name in found.fates.columns)
        terminal = f" Terminal cells: {', '.join(each)}."
    yield (
        f"{len(reaches):,} cells, {number_of} fate{'s' if number_of != 1 else ''}. The probability "
        "of a fate is that of a walk along the transitions to reach its terminal cells before "
        f"those of another.{terminal}"
    )
    if number_of > MOST_FATES:
        yield f"Shown are the {MOST_FATES} fates with the highest mean probability."
    if not reaches.all():
        yield (
            f"{int((~reaches).sum()):,} cells cannot reach any terminal cell; they are grey, and "
            "count in no mean."
        )
    before = reaches & ~ends
    if before.any():
        values = found.fates.to_numpy(dtype=np.float64)[before]
        means = ", ".join(
            f"{name} {mean:.0%}"
            for name, mean in zip(found.fates.columns, values.mean(axis=0), strict=True)
        )
        yield (
            f"Over the {int(before.sum()):,} cells that are not terminal themselves, the mean "
            f"probabilities are {means}: what one would guess of a cell without looking at it. "
            f"Their median entropy is {number(float(np.median(found.entropy[before])), 2)} nats; "
            f"{number(float(np.log(number_of)), 2)} would be no idea, and 0 certainty."
        )
        if found.steps is not None and np.isfinite(found.steps[before]).any():
            median = float(np.nanmedian(found.steps[before]))
            yield f"Their median expected number of steps to a terminal cell is {median:,.0f}."


def _cluster_table(found: FateResults, cluster: "pd.Categorical[Any]") -> Table:
    """Mean fates, entropy and steps of each cluster."""
    codes, labels = np.asarray(cluster.codes, dtype=np.int64), list(cluster.categories)
    drawn = found.drawn()
    means, cells = mean_fates(drawn.to_numpy(dtype=np.float64), codes, len(labels))
    rows = []
    for place, label in enumerate(labels):
        here = (codes == place) & found.reaches
        steps = np.full(len(codes), np.nan) if found.steps is None else found.steps
        entropy = found.entropy[here].mean() if here.any() else np.nan
        far = steps[here & np.isfinite(steps)]
        rows.append(
            [
                str(label),
                f"{int(cells[place]):,}",
                f"{int(((codes == place) & ~found.reaches).sum()):,}",
                *(percent(mean) for mean in means[place]),
                number(float(entropy), 2),
                number(float(far.mean()) if len(far) else np.nan, 1),
            ]
        )
    wide = [("", 1), ("cells", 2), ("mean fate probability, %", len(drawn.columns)), ("mean", 2)]
    heads = ["reach a fate", "do not", *map(str, drawn.columns), "entropy, nats", "steps"]
    return Table(rows=rows, head=(wide, ["", *heads]), caption="Fates of the clusters' cells")


def _choice_table(by_choice: pd.DataFrame) -> Table:
    """How fates change with the choice of terminal states."""
    rows = [
        [
            f"{row['choice']}, {row['other']}",
            str(row["fate"]),
            *(f"{int(row[n]):,}" for n in ("terminal_cells", "other_terminal_cells", "cells")),
            number(float(row["correlation"]), 2),
            percent(float(row["difference"])),
            percent(float(row["same_fate"])),
        ]
        for _, row in by_choice.iterrows()
    ]
    wide = [("", 2), ("terminal cells", 2), ("", 1), ("fate probability", 2), ("", 1)]
    heads = ["choices", "fate", "first", "second", "cells compared", "correlation",
             "mean difference, %", "same most probable fate, %"]  # fmt: skip
    caption = "Fates for one choice of terminal states beside those for another"
    return Table(rows=rows, head=(wide, heads), caption=caption, left=(0, 1))


def _drivers(table: pd.DataFrame, fates: Sequence[str], notes: Sequence[str]) -> Section:
    """Volcanoes, the first genes of each fate, and what is said of their p-values."""
    held = [name for name in fates if len(drivers_of(table, name))]
    rows = []
    for fate in held:
        found = drivers_of(table, fate)
        names, order = readable(found), order_of_drivers(found)[:_LISTED]
        for i in order:
            row = found.iloc[int(i)]
            rows.append(
                [
                    fate, names[i], signed(float(row["effect"]), 2), _p_value(row["p_value"]),
                    _p_value(row["fdr"]), f"{int(row['cells']):,}", f"{int(row['units']):,}",
                ]
            )  # fmt: skip
    heads = ["fate", "gene", "effect", "p-value", "q", "cells", "units"]
    at_all = {fate: int((drivers_of(table, fate)["fdr"] < FDR).sum()) for fate in held}
    return {
        "drivers": Picture.of(driver_figure(table, held, FDR), "fate_drivers"),
        "driver_table": Table(
            rows=rows, head=(heads,), caption="The first genes of each fate", left=(0, 1)
        ),
        "num_found": at_all,
        "fdr": FDR,
        "has_p_values": bool(table["p_value"].notna().any()),
        "permutations": most_permutations(table),
        "notes": list(notes),
    }


def _p_value(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2g}"
