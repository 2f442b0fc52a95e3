"""All values that the page holds of the cells that can be explored, as text and plain numbers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy import ndarray

from bionemo.geneformer_t.report.explore.explorable import Explorable
from bionemo.geneformer_t.report.explore.matched_fates import MatchedFates
from bionemo.geneformer_t.report.explore.pack import packed
from bionemo.geneformer_t.report.explore.shown_genes import ShownGenes
from bionemo.geneformer_t.report.explore.top_changes import TopChanges
from bionemo.geneformer_t.report.figures.cell_arrows import by_number
from bionemo.geneformer_t.report.figures.style import category_colors

Values = dict[str, Any]


def cell_values(found: Explorable, rows: Int[ndarray, " shown"]) -> Values:
    """Names and places of cells, and where their own arrows end.

    Args:
        found: Everything.
        rows: Cells that are shown.
    """
    ends = np.full((len(found.where.coordinates), 4), np.nan)
    ends[found.arrows.cells] = np.hstack([found.arrows.true_ends, found.arrows.predicted_ends])
    return {
        "names": [str(found.names[row]) for row in rows],
        "places": packed(found.where.coordinates[rows], "float32"),
        "ends": packed(ends[rows], "float32"),
    }


def cluster_values(found: Explorable, rows: Int[ndarray, " shown"]) -> Values | None:
    """Clusters in the order and the colours of the pictures; None where they are not known."""
    labels = found.facts.labels("cluster")
    if labels is None:
        return None
    names = sorted(set(labels.tolist()), key=by_number)
    code = {name: i for i, name in enumerate(names)}
    return {
        "names": names,
        "colors": category_colors(len(names)),
        "of": packed(np.array([code[labels[row]] for row in rows]), "uint16"),
    }


def number_values(
    found: Explorable, rows: Int[ndarray, " shown"], fates: MatchedFates | None
) -> Iterator[Values]:
    """What cells can be coloured by, other than clusters and genes.

    Args:
        found: Everything.
        rows: Cells that are shown.
        fates: Of all cells of the map.
    """
    if found.facts.time is not None:
        labels = [[float(np.float32(time)), name] for time, name in found.time_labels.items()]
        yield {**_numbers("time", found.facts.time[rows]), "labels": labels}
    if fates is not None:
        for i, name in enumerate(fates.names):
            values = _numbers(f"fate {name}", fates.probabilities[rows, i])
            yield {**values, "low": 0.0, "high": 1.0, "is_share": True}
        yield _numbers("entropy of the fates, nats", fates.entropy[rows])
    if found.uncertainty is not None:
        yield _numbers("entropy of the prediction, nats", found.uncertainty[rows])


def _numbers(name: str, values: Float[ndarray, " shown"]) -> Values:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    return {"name": name, "low": low, "high": high, "is_share": False, "labels": [],
            "of": packed(values, "float32")}  # fmt: skip


def gene_values(
    found: Explorable, genes: ShownGenes, is_current: Bool[ndarray, " shown"]
) -> Values:
    """Ranks of the genes that can be searched.

    Args:
        found: Everything.
        genes: Their ranks in the shown cells, and as predicted.
        is_current: Which of the shown cells something is predicted for.
    """
    return {
        "names": [str(found.gene_names[token]) for token in genes.tokens],
        "ids": [str(found.tokens[token]) for token in genes.tokens],
        "values": packed(np.frombuffer(genes.ranks, dtype=np.uint8), "uint8"),
        "current": packed(np.where(is_current, np.cumsum(is_current) - 1, -1), "int32"),
        "ranks": found.arrows.num_ranks,
    }


def change_values(found: Explorable, changes: TopChanges) -> Values:
    """Top changes of the current cells that are shown, with a table of the genes' names."""
    tokens, index = np.unique(changes.tokens, return_inverse=True)
    return {
        "names": [str(found.gene_names[token]) for token in tokens],
        "each": changes.tokens.shape[1],
        "which": packed(index, "uint16" if len(tokens) < 2**16 else "uint32"),
        "is_wide": len(tokens) >= 2**16,
        "by": packed(np.clip(np.rint(100 * changes.change), -127, 127), "int8"),
    }


def palette() -> list[str]:
    """The colours of numbers, as in the pictures."""
    return [to_hex(color) for color in colormaps["viridis"](np.linspace(0, 1, 256))]
