"""Effects of edited genes beside their nulls: effect against distance from matched genes.

The height is |z|, how many standard deviations an effect is from the mean of its matched genes, and
not the p-value, so that a control that finds nothing has a picture of the same scale. Genes that
are not found are the grey cloud, which is what the others are compared with. Where an effect is
named, a grey line shows its own null: the mean of its matched genes, and two standard deviations to
either side.

In a screen every gene of the table was picked for its large estimate, so its first genes are named
whether they are found or not, and their colour says which they are.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.perturbation.readouts import SCREEN_EFFECT
from bionemo.geneformer_t.report.figures.cluster_flow import short_name
from bionemo.geneformer_t.report.figures.point_labels import label_points
from bionemo.geneformer_t.report.figures.style import INK, MODEL, QUIET, REFERENCE, quieten

_MOST_LETTERS_OF_TITLE = 36
_MOST_LETTERS = 18
_MANY = 500
_NULL = 2
"""Standard deviations that a line of a null reaches to either side."""
_LEAST_HEIGHT = 3.0
"""Largest |z| that a panel has room for, at least."""


def draw_effects_and_nulls(
    axes: Any,
    found: pd.DataFrame,
    title: str,
    *,
    fdr: float,
    num_labels: int,
    limits: tuple[float, float],
) -> None:
    """Draw genes: blue where an effect is above its null, orange where below, grey if not found.

    Args:
        axes: Where to draw.
        found: Rows of one readout with `symbol`, `effect`, `z` and `fdr`, and `null_mean`
            and `null_sd` where nulls are to be drawn; genes without z are left out.
        title: Of the panel.
        fdr: Rate of false discoveries below which genes count as found.
        num_labels: Genes whose nulls are drawn, those found with the largest |z|, and of a screen
            then others; all, where there are no more. `name_effects` names them.
        limits: The largest effect and the largest |z| that the panel has room for.
    """
    effect, z, known, is_found = _points(found, fdr)
    groups = (
        (known & ~is_found, QUIET, ""),
        (known & is_found & (z > 0), MODEL, "above (blue)"),
        (known & is_found & (z <= 0), REFERENCE, "below (orange)"),
    )
    for some, color, _ in groups:
        axes.scatter(
            effect[some], np.abs(z[some]), s=14, color=color, linewidths=0, alpha=0.75, zorder=3,
            rasterized=int(some.sum()) > _MANY,
        )  # fmt: skip
    widest, highest = limits[0] or 1.0, limits[1]
    axes.set(xlim=(-1.15 * widest, 1.15 * widest), ylim=(0, 1.2 * highest))
    axes.axvline(0, color="#444444", linewidth=0.8, zorder=1)
    counts = " and ".join(f"{some.sum():,} {label}" for some, _, label in groups[1:])
    note = f"effect\n{counts} the null, of {known.sum():,} at q < {fdr:g}"
    named = _named(found, fdr, num_labels)
    has_nulls = "null_sd" in found and len(named) > 0
    if has_nulls:
        note += f"\ngrey lines: mean of the null, and {_NULL} standard deviations"
    axes.set_xlabel(note, fontsize=8)
    axes.set_ylabel("|z|, standard deviations from matched genes", fontsize=8)
    axes.set_title(short_name(title, _MOST_LETTERS_OF_TITLE), loc="left", fontsize=11)
    axes.tick_params(labelsize=8)
    quieten(axes, grid="both")
    if has_nulls:
        _draw_nulls(
            axes, np.abs(z), _numbers(found, "null_mean"), _numbers(found, "null_sd"), named
        )


def name_effects(axes: Any, found: pd.DataFrame, *, fdr: float, num_labels: int) -> None:
    """Name the genes of a panel that was drawn and has its place in the figure.

    Args, as `draw_effects_and_nulls`.
    """
    effect, z, _, _ = _points(found, fdr)
    named = _named(found, fdr, num_labels)
    names = [short_name(str(found["symbol"].iloc[i]), _MOST_LETTERS) for i in named]
    places = np.column_stack([effect, np.abs(z)])[named]
    label_points(axes, places, names, is_laid_out=True)


def limits_of(found: pd.DataFrame, num_labels: int) -> tuple[float, float]:
    """The room that these rows need: the largest effect, and the largest |z| or 3.

    Where genes are named that are not found there is room for nulls as well.
    """
    effect, z = _numbers(found, "effect"), _numbers(found, "z")
    known = np.isfinite(effect) & np.isfinite(z)
    wide = np.abs(effect[known])
    if "null_sd" in found and (known.sum() <= num_labels or SCREEN_EFFECT in found):
        ends = np.abs(_numbers(found, "null_mean")) + _NULL * _numbers(found, "null_sd")
        wide = np.append(wide, ends[known])
    return float(wide.max(initial=0)), float(np.abs(z[known]).max(initial=_LEAST_HEIGHT))


def _points(
    found: pd.DataFrame, fdr: float
) -> tuple[
    Float[ndarray, " gene"], Float[ndarray, " gene"], Bool[ndarray, " gene"], Bool[ndarray, " gene"]
]:
    """Effects and z, which of them are known, and which are found."""
    effect, z, q_value = (_numbers(found, name) for name in ("effect", "z", "fdr"))
    return effect, z, np.isfinite(effect) & np.isfinite(z), q_value < fdr


def _named(found: pd.DataFrame, fdr: float, num_labels: int) -> Int[ndarray, " named"]:
    """The genes to name: those found with the largest |z|; all, where there are no more.

    Of a screen those that are not found as well, behind them.
    """
    _, z, known, is_found = _points(found, fdr)
    named = known & (is_found | (known.sum() <= num_labels) | (SCREEN_EFFECT in found))
    order = np.lexsort((np.where(named, -np.abs(z), np.inf), ~is_found, ~named))
    return order[: min(num_labels, int(named.sum()))]


def _draw_nulls(
    axes: Any,
    height: Float[ndarray, " gene"],
    mean: Float[ndarray, " gene"],
    sd: Float[ndarray, " gene"],
    genes: Any,
) -> None:
    axes.hlines(
        height[genes], (mean - _NULL * sd)[genes], (mean + _NULL * sd)[genes],
        color=INK, alpha=0.35, linewidth=1.2, zorder=2,
    )  # fmt: skip


def _numbers(found: pd.DataFrame, name: str) -> Float[ndarray, " gene"]:
    return found[name].to_numpy(dtype=np.float64)
