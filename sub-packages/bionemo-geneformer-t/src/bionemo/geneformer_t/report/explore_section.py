"""The report's section in which cells, arrows, fates and genes can be explored."""

from collections.abc import Iterator

import numpy as np

from bionemo.geneformer_t.report.explore.bokeh_map import bokeh_map, map_scripts
from bionemo.geneformer_t.report.explore.explorable import Explorable
from bionemo.geneformer_t.report.explore.map_arrows import map_arrows
from bionemo.geneformer_t.report.explore.matched_fates import MatchedFates, matched_fates
from bionemo.geneformer_t.report.explore.pack import packed, script_json
from bionemo.geneformer_t.report.explore.page_values import (
    cell_values,
    change_values,
    cluster_values,
    gene_values,
    number_values,
    palette,
)
from bionemo.geneformer_t.report.explore.shown_genes import ShownGenes, shown_genes
from bionemo.geneformer_t.report.explore.top_changes import top_changes
from bionemo.geneformer_t.report.page import Section

MOST_BYTES = 6_000_000
"""Of the whole page."""
MOST_CELLS = 3_000
"""Cells that are shown: a sample where there are more."""
_TEXT = 300_000
"""Bytes for words and tables of the page."""


def explore_section(
    found: Explorable, num_bytes: int = 0, most_cells: int = MOST_CELLS, seed: int = 0
) -> Section:
    """What the section shows, and the scripts that show it.

    Args:
        found: The cells of a split; one of them at least has a place on the map.
        num_bytes: What the pictures of the page take; the more, the fewer genes can be searched.
        most_cells: Cells that are shown at most.
        seed: Of the sample of cells, where they are many.

    Raises:
        ValueError: No cell has a place on the map.
    """
    rng = np.random.default_rng(seed)
    rows, coordinates = found.shown(rng, most_cells), found.where.coordinates
    if not len(rows):
        raise ValueError(
            f"none of the {len(coordinates):,} cells has a place on the {found.where.name}"
        )
    now = found.profiles(rows)
    is_current = np.isin(rows, found.arrows.cells)
    current = np.flatnonzero(is_current)
    expected = found.arrows.expected[np.searchsorted(found.arrows.cells, rows[current])]
    fates = None if found.fates is None else matched_fates(found.fates, found.names)
    arrows = map_arrows(coordinates, found.arrows, fates.transitions if fates else None, rng)
    values = {
        "cells": cell_values(found, rows),
        "clusters": cluster_values(found, rows),
        "numbers": list(number_values(found, rows, fates)),
        "changes": change_values(found, top_changes(now[current], expected, found.gene_ids)),
        "arrows": [{"name": name, "of": packed(ends, "float32")} for name, ends in arrows],
        "palette": palette(),
    }
    scripts = map_scripts()
    taken = num_bytes + _TEXT + sum(map(len, [script_json(values), *scripts]))
    most_bytes = (MOST_BYTES - taken) * 3 // 4  # base64
    genes = shown_genes(now, expected, current, found.gene_ids, found.named, most_bytes)
    values["genes"] = gene_values(found, genes, is_current)
    document = bokeh_map(coordinates[rows], is_equal=found.where.name == "UMAP")
    return {
        "sentences": list(_sentences(found, len(rows), genes, fates)),
        "num_cells": len(rows),
        "map": found.where.name,
        "values": script_json(values),
        "document": script_json(document),
        "scripts": scripts,
    }


def _sentences(
    found: Explorable, num_shown: int, genes: ShownGenes, fates: MatchedFates | None
) -> Iterator[str]:
    """What of the data is on the page, and what is not."""
    num_all = len(found.names)
    num_placed = int(np.isfinite(found.where.coordinates).all(axis=1).sum())
    shown = f"All {num_all:,} cells of the split are shown"
    if num_shown < num_placed:
        shown = f"Shown are {num_shown:,} of {num_all:,} cells of the split, drawn at random"
    elif num_placed < num_all:
        shown = f"Shown are {num_shown:,} of {num_all:,} cells of the split"
    unplaced = num_all - num_placed
    without = f"; {unplaced:,} have no place on the map" if unplaced else ""
    yield f"{shown}, on the {found.where.name}{without}."
    yield _searched(genes)
    if fates is not None:
        if not fates.num_known:
            yield "No cell of the split has fates under its name, so fates cannot be shown here."
        elif fates.num_known < num_all:
            yield f"{fates.num_known:,} of {num_all:,} cells of the split have fates."
        if fates.transitions is None:
            yield "Arrows along transitions are left out, for they are not of exactly these cells."


def _searched(genes: ShownGenes) -> str:
    number, named = len(genes.tokens), genes.num_named
    if number == genes.num_all:
        return f"All {number:,} genes of the vocabulary can be searched."
    if not number:
        return "No gene can be searched: the pictures leave no room for genes on the page."
    which = [f"{named:,} that this page names"] if named else []
    if number > named:
        which.append("those whose predicted change is largest")
    return f"{number:,} of {genes.num_all:,} genes can be searched: {' and '.join(which)}."
