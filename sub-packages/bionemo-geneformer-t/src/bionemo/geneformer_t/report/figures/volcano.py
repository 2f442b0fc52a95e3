"""Driver genes of one fate: effect against p-value, or effects alone where there is no p-value."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.report.figures.cluster_flow import short_name
from bionemo.geneformer_t.report.figures.point_labels import label_points
from bionemo.geneformer_t.report.figures.style import MODEL, QUIET, REFERENCE, quieten

_MOST_LETTERS = 18
_MOST_LETTERS_OF_TITLE = 32
_MANY = 500


def draw_drivers(axes: Any, table: pd.DataFrame, fate: str, *, num_labels: int, fdr: float) -> None:
    """Draw the volcano of a fate; its largest effects where there are no p-values.

    Args:
        axes: Where to draw.
        table: As `gft.tl.drivers` makes it.
        fate: One of its fates.
        num_labels: Genes to name, at most; twice as many where effects alone are drawn.
        fdr: False discovery rate below which genes count as found.
    """
    found = drivers_of(table, fate)
    if found["p_value"].notna().any():
        draw_volcano(axes, found, fate, num_labels=num_labels, fdr=fdr)
    else:
        draw_effects(axes, found, fate, num_labels=2 * num_labels)


def drivers_of(table: pd.DataFrame, fate: str) -> pd.DataFrame:
    """The rows of one fate in a table of `gft.tl.drivers`."""
    return table[table["fate"].astype(str) == fate]


def order_of_drivers(found: pd.DataFrame) -> Int[ndarray, " gene"]:
    """Rows by p-value, then by the size of the effect; those without either are last."""
    size = -np.abs(found["effect"].to_numpy(dtype=np.float64))
    return np.lexsort((size, found["p_value"].to_numpy(dtype=np.float64)))


def most_permutations(found: pd.DataFrame) -> int | None:
    """The largest number of permutations that a p-value is from; None where it is not known."""
    number = int(found["permutations"].max()) if "permutations" in found and len(found) else 0
    return number or None


def readable(found: pd.DataFrame) -> list[str]:
    """What genes are called: by their symbols, else by their names."""
    symbols, genes = found["symbol"].astype(object), found["gene"].astype(str)
    pairs = zip(symbols.where(symbols.notna(), ""), genes, strict=True)
    return [short_name(str(symbol) or gene, _MOST_LETTERS) for symbol, gene in pairs]


def draw_volcano(
    axes: Any,
    found: pd.DataFrame,
    title: str,
    *,
    num_labels: int,
    fdr: float,
) -> None:
    """Draw genes: blue where they rise with the fate, orange where they fall, grey if not found.

    The smallest p-value that the permutations can give is a dotted line.

    Args:
        axes: Where to draw.
        found: Rows of one fate with `effect`, `p_value` and `fdr`; genes without a p-value are left
            out.
        title: Of the panel.
        num_labels: Genes to name, in the order of `order_of_drivers`.
        fdr: False discovery rate below which genes count as found.
    """
    effect, p_value, q_value = (
        found[name].to_numpy(dtype=np.float64) for name in ("effect", "p_value", "fdr")
    )
    known, is_found = np.isfinite(effect) & np.isfinite(p_value), q_value < fdr
    permutations = most_permutations(found)
    least = p_value[known & (p_value > 0)].min(initial=1.0)
    least = least if permutations is None else min(least, 1 / (1 + permutations))
    height = -np.log10(np.maximum(p_value, least))
    groups = (
        (known & ~is_found, QUIET, ""),
        (known & is_found & (effect > 0), MODEL, "higher (blue)"),
        (known & is_found & (effect <= 0), REFERENCE, "lower (orange)"),
    )
    for some, color, _ in groups:
        axes.scatter(
            effect[some], height[some], s=14, color=color, linewidths=0, alpha=0.75, zorder=3,
            rasterized=int(some.sum()) > _MANY,
        )  # fmt: skip
    widest = np.abs(effect[known]).max(initial=0) or 1.0
    top = max(-np.log10(least), height[known].max(initial=0), 1.0)
    axes.set(xlim=(-1.15 * widest, 1.15 * widest), ylim=(0, 1.3 * top))
    if permutations is not None:
        axes.axhline(
            -np.log10(1 / (1 + permutations)), color="#444444", linewidth=1, linestyle=":", zorder=2
        )
    axes.axvline(0, color="#444444", linewidth=0.8, zorder=1)
    counts = " and ".join(f"{some.sum():,} {label}" for some, _, label in groups[1:])
    note = f"effect\n{counts} of {known.sum():,} at q < {fdr:g}"
    if permutations is not None:
        note += f"\ndotted: the least p-value of {permutations:,} permutations"
    axes.set_xlabel(note, fontsize=8)
    axes.set_ylabel("\N{MINUS SIGN}log10 p-value", fontsize=9)
    axes.set_title(short_name(title, _MOST_LETTERS_OF_TITLE), loc="left", fontsize=12)
    axes.tick_params(labelsize=8)
    quieten(axes, grid="both")
    order = order_of_drivers(found)
    order = order[(known & is_found)[order]][:num_labels]
    names = readable(found)
    label_points(axes, np.column_stack([effect, height])[order], [names[i] for i in order])


def draw_effects(axes: Any, found: pd.DataFrame, title: str, *, num_labels: int) -> None:
    """Draw the largest effects as bars, where there are no p-values.

    Args:
        axes: Where to draw.
        found: Rows of one fate with `effect`; rows without one are left out.
        title: Of the panel.
        num_labels: Genes to draw.
    """
    effect = found["effect"].to_numpy(dtype=np.float64)
    known = np.flatnonzero(np.isfinite(effect))
    largest = known[np.argsort(-np.abs(effect[known]), kind="stable")][:num_labels]
    largest = largest[np.argsort(-effect[largest], kind="stable")]
    rows, names = np.arange(len(largest)), readable(found)
    colors = [MODEL if effect[i] > 0 else REFERENCE for i in largest]
    axes.barh(rows, effect[largest], color=colors, height=0.7)
    axes.set_yticks(rows, [names[i] for i in largest], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.axvline(0, color="#444444", linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    units = found["units"].max() if "units" in found else None
    few = "too few units" if units is None or pd.isna(units) else f"only {int(units)} units"
    axes.set_xlabel(f"effect; no p-values, there are {few}", fontsize=9)
    axes.set_title(short_name(title, _MOST_LETTERS_OF_TITLE), loc="left", fontsize=12)
    quieten(axes, grid="x")
