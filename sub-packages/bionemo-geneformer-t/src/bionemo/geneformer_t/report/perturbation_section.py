"""The report's section on perturbations: what editing genes changes of what follows.

In: what `gft.tl.perturb` computes, as tables. Out: what the template shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

import numpy as np
import pandas as pd

from bionemo.geneformer_t.false_discoveries import FDR
from bionemo.geneformer_t.perturbation.readouts import FATE, ROW, unit_of
from bionemo.geneformer_t.perturbation.screen_verdict import HEADER, ScreenVerdict
from bionemo.geneformer_t.report.figures.perturbation_figures import (
    FateChange,
    cluster_effects_figure,
    controls_of,
    fate_changes_figure,
    first_fate_changes,
    first_symbols,
    rows_of,
    volcano_figure,
)
from bionemo.geneformer_t.report.figures.rank_trends import RankTrends, rank_trends_figure
from bionemo.geneformer_t.report.figures.style import category_colors
from bionemo.geneformer_t.report.page import Section
from bionemo.geneformer_t.report.pictures import Picture
from bionemo.geneformer_t.table import Table, number

MOST_READOUTS = 6
"""Readouts that are drawn and listed, the first of the table."""
_LISTED = 8
"""Targets of each readout in the table."""
_MAPPED = 12
"""Targets of each readout in the heat map of clusters."""
_CHANGED = 6
"""Targets whose fates are drawn before and after."""
_ALONE = (
    "The table that was given does not say what simple methods find, nor which cells changed; an "
    ".h5ad of geneformer-t perturb does."
)


@dataclass(frozen=True, kw_only=True)
class PerturbationResults:
    """Effects of edited genes, and what belongs to them."""

    table: pd.DataFrame
    """As `gft.tl.perturb` returns it."""
    verdict: Sequence[str] = ()
    """In sentences; where there are none, discoveries are counted in the table."""
    notes: Sequence[str] = ()
    """What was counted and left out."""
    by_cluster: pd.DataFrame | None = None
    """Effects in each cluster."""
    fates: pd.DataFrame | None = None
    """Fate probabilities, cells x fates."""
    in_cells: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Effects of cells x targets by readout; NaN where an edit does nothing."""
    trends: RankTrends | None = None
    """Ranks of the first genes along the trajectory."""

    @property
    def readouts(self) -> list[str]:
        """All, in their order."""
        return [str(name) for name in dict.fromkeys(self.table["readout"])]

    @property
    def sentences(self) -> list[str]:
        """The verdict without its header."""
        if self.verdict:
            return [sentence for sentence in self.verdict if sentence != HEADER]
        tested = [name for name in self.readouts if name != ROW] or [ROW]
        made = ScreenVerdict.of_table(tested, self.table, controls_of(self.table))
        return [*(line for line in made.sentences if line != HEADER), _ALONE]


def perturbation_section(found: PerturbationResults) -> Section:
    """What the section shows; a part that was not computed is left out.

    Args:
        found: Effects of one target at least, and what belongs to them.
    """
    drawn = found.readouts[:MOST_READOUTS]
    tested = [name for name in drawn if rows_of(found.table, name)["z"].notna().any()]
    section: Section = {
        "header": HEADER,
        "sentences": found.sentences,
        "notes": list(found.notes),
        "edits": sorted({str(edit) for edit in found.table["edit"]}),
        "targets": int(found.table["target"].nunique()),
        "readouts": found.readouts,
        "drawn": drawn,
        "tested": tested,
        "tables": [_first_targets(found.table, readout) for readout in drawn],
        "has_controls": bool(controls_of(found.table)),
        "volcano": None,
        "clusters": None,
        "changes": None,
        "changed": [],
        "trends": None,
    }
    if tested:
        section["volcano"] = Picture.of(
            volcano_figure(found.table, tested, FDR), "perturbation_volcano"
        )
    if found.by_cluster is not None and len(found.by_cluster["cluster"].unique()) > 1:
        figure = cluster_effects_figure(found.table, found.by_cluster, drawn, _MAPPED)
        section["clusters"] = Picture.of(figure, "perturbation_clusters")
    if changes := _fate_changes(found):
        names, colors = _fates_read(found)
        figure = fate_changes_figure(changes, names, colors)
        section["changes"] = Picture.of(figure, "perturbation_fates")
        section["changed"] = [change.symbol for change in changes]
    if found.trends is not None:
        section["trends"] = Picture.of(rank_trends_figure(found.trends), "perturbation_trends")
        section |= {"followed": list(found.trends.curves), "along": found.trends.along}
        section["num_followed"] = found.trends.num_cells
    return section


def first_genes(table: pd.DataFrame, number: int) -> dict[str, str]:
    """Symbols and ids of the first single genes of the readouts that are drawn, taken in turn.

    Combinations are left out, as they have no rank.
    """
    readouts = [str(name) for name in dict.fromkeys(table["readout"])][:MOST_READOUTS]
    single = table[~table["target"].astype(str).str.contains("+", regex=False)]
    firsts = [first_symbols(rows_of(single, readout), number) for readout in readouts]
    in_turn = dict.fromkeys(chain.from_iterable(zip_longest(*firsts)))
    symbols = [symbol for symbol in in_turn if symbol is not None][:number]
    ids = dict(zip(single["symbol"].astype(str), single["target"].astype(str), strict=True))
    return {symbol: ids[symbol] for symbol in symbols}


def _first_targets(table: pd.DataFrame, readout: str) -> Table:
    """The first targets of a readout: effects beside nulls, simple methods and controls."""
    controls = controls_of(table)
    rows = [
        [
            str(row["symbol"]), _figure(row["effect"]), _figure(row["null_mean"]),
            _figure(row["null_sd"], signed=False), number(row["z"], 1), _q_value(row["fdr"]),
            *(f"{int(row[name]):,}" for name in ("cells", "cells_without", "cells_unchanged")),
            _figure(row.get("ridge_effect", np.nan)), number(row.get("correlation", np.nan), 2),
            *(number(row[f"{name}_z"], 1) for name in controls),
        ]
        for _, row in rows_of(table, readout).iloc[:_LISTED].iterrows()
    ]  # fmt: skip
    wide = [
        ("", 1),
        (f"effect, {unit_of(readout)}", 3),
        ("beside the null", 2),
        ("cells", 3),
        ("simple methods", 2),
        *([("z of controls", len(controls))] if controls else []),
    ]
    heads = ["target", "mean", "null mean", "null sd", "z", "q", "affected", "lack it",
             "unchanged", "ridge", "correlation", *controls]  # fmt: skip
    return Table(rows=rows, head=(wide, heads), caption=f"{readout}: its first targets")


def _fate_changes(found: PerturbationResults) -> list[FateChange]:
    """Of the first targets of each fate that change cells with fates; none without effects."""
    names, _ = _fates_read(found)
    read = [FATE + name for name in names]
    if found.fates is None or not names or not set(read) <= set(found.in_cells):
        return []
    effects = [found.in_cells[name] for name in read]
    firsts = [first_symbols(rows_of(found.table, name), _CHANGED) for name in read]
    in_turn = dict.fromkeys(chain.from_iterable(zip_longest(*firsts)))
    symbols = [symbol for symbol in in_turn if symbol is not None]
    return first_fate_changes(symbols, found.fates[names], effects, _CHANGED)


def _fates_read(found: PerturbationResults) -> tuple[list[str], list[str]]:
    """The fates that were read, and their colours, which are those of the section on fates."""
    if found.fates is None:
        return [], []
    colors = dict(zip(found.fates.columns, category_colors(found.fates.shape[1]), strict=True))
    held = [name.removeprefix(FATE) for name in found.readouts if name.startswith(FATE)]
    names = [name for name in held if name in colors]
    return names, [colors[name] for name in names]


def _figure(value: float, *, signed: bool = True) -> str:
    """Three digits, whatever the unit."""
    return "-" if np.isnan(value) else f"{value:+.3g}" if signed else f"{value:.3g}"


def _q_value(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2g}"
