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


def drivers_of(table: pd.DataFrame, fate: str) -> pd.DataFrame:
    """The rows of one fate in a table of `gft.tl.drivers`."""
    return table[table["fate"].astype(str) == fate]


def order_of_drivers(found: pd.DataFrame) -> Int[ndarray, " gene"]:
    """Rows by p-value, then by the size of the effect; those without either are last."""
    size = -np.abs(found["effect"].to_numpy(dtype=np.float64))
    return np.lexsort((size, found["p_value"].to_numpy(dtype=np.float64)))


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
    floor: float | None,
    num_labels: int,
    fdr: float,
) -> None:
    """Draw genes: blue where they rise with the fate, orange where they fall, grey if not found.

    Args:
        axes: Where to draw.
        found: Rows of one fate with `effect`, `p_value` and `fdr`; genes without a p-value are left
            out.
        title: Of the panel.
        floor: The smallest p-value that the permutations can give: drawn as a line.
        num_labels: Genes to name, in the order of `order_of_drivers`.
        fdr: False discovery rate up to which genes count as found.
    """
    effect, p_value, q_value = (
        found[name].to_numpy(dtype=np.float64) for name in ("effect", "p_value", "fdr")
    )
    known, is_found = np.isfinite(effect) & np.isfinite(p_value), q_value <= fdr
    least = p_value[known & (p_value > 0)].min(initial=1.0) if floor is None else floor
    height = -np.log10(np.maximum(p_value, least))
    groups = (
        (known & ~is_found, QUIET, "not found"),
        (known & is_found & (effect > 0), MODEL, "higher with the fate"),
        (known & is_found & (effect <= 0), REFERENCE, "lower with the fate"),
    )
    for some, color, label in groups:
        axes.scatter(
            effect[some], height[some], s=14, color=color, linewidths=0, alpha=0.75, zorder=3,
            rasterized=int(some.sum()) > _MANY, label=f"{label} ({some.sum():,})",
        )  # fmt: skip
    widest = np.abs(effect[known]).max(initial=0) or 1.0
    top = max(-np.log10(least), height[known].max(initial=0), 1.0)
    axes.set(xlim=(-1.15 * widest, 1.15 * widest), ylim=(0, 1.3 * top))
    if floor is not None:
        axes.axhline(-np.log10(floor), color="#444444", linewidth=1, linestyle=":", zorder=2)
    axes.axvline(0, color="#444444", linewidth=0.8, zorder=1)
    dotted = "" if floor is None else f"\ndotted: least of {round(1 / floor) - 1:,} permutations"
    axes.set_xlabel(f"effect{dotted}", fontsize=9)
    axes.set_ylabel("\N{MINUS SIGN}log10 p-value", fontsize=9)
    axes.set_title(short_name(title, _MOST_LETTERS_OF_TITLE), loc="left", fontsize=12)
    axes.tick_params(labelsize=8)
    quieten(axes, grid="both")
    axes.legend(
        title=f"at FDR {fdr:g}", loc="upper left", bbox_to_anchor=(0, -0.2), borderaxespad=0,
        frameon=False, fontsize=8, title_fontsize=8, ncols=3, handletextpad=0.1, columnspacing=1,
        alignment="left",
    )  # fmt: skip
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
