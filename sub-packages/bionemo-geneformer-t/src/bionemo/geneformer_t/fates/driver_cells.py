"""Which cells can tell what drives a fate: those with fates, before their end, beside other donors.

A cell without fate probabilities says nothing, and neither does a cell of a terminal state, whose
fate is itself. Where donors are the units, a cluster with cells of one donor alone has no second
one to repeat what is found there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.fates.fate_tables import checked_fates
from bionemo.geneformer_t.fates.terminal_settings import TERMINAL
from bionemo.geneformer_t.obs_columns import obs_labels
from bionemo.geneformer_t.some_names import some_names


@dataclass(frozen=True, kw_only=True)
class DriverCells:
    """The cells that are compared."""

    rows: Int[ndarray, " cell"]
    """Rows of obs."""
    fates: Float[ndarray, "cell fate"]
    names: tuple[str, ...]
    """Of the fates."""
    clusters: Shaped[ndarray, " cell"]
    donors: Shaped[ndarray, " cell"] | None
    notes: tuple[str, ...]
    """How many cells were left out, and why."""


def driver_cells(
    obs: pd.DataFrame,
    fates: Any,
    fate: str | Sequence[str] | None = None,
    *,
    cluster_key: str | Sequence[str] | None = None,
    donor_key: str | None = None,
) -> DriverCells:
    """Choose cells and fates.

    Args:
        obs: One row for each cell.
        fates: Fate probabilities, one column a fate.
        fate: Which of them; all by default.
        cluster_key: Column of obs with the clusters; several for each combination of their labels.
        donor_key: Column of obs with the donor or replicate.

    Raises:
        TypeError: The fates are no table.
        KeyError: No such fate or column; lists those that exist.
        ValueError: There is one fate only, the table holds no probabilities, cells lack a label, no
            cell is left, or donors are nested in clusters.
    """
    table = _checked(fates)
    names = _chosen(table, fate)
    values = table[list(names)].to_numpy()
    has_fate = np.isfinite(values).all(axis=1)
    is_terminal = np.zeros(len(obs), dtype=bool)
    if TERMINAL in obs:
        is_terminal = obs[TERMINAL].notna().to_numpy()
    kept = has_fate & ~is_terminal
    notes: list[str] = []
    _note(notes, ~has_fate, "have no fate probabilities (NaN)")
    _note(notes, has_fate & is_terminal, "are in a terminal state, whose fate is itself")
    clusters = _clusters(obs, cluster_key)
    donors = None if donor_key is None else obs_labels(obs, donor_key, "donor_key")
    if donors is not None:
        single = _of_one_donor(clusters, donors, kept)
        if kept.any() and single[kept].all():
            raise ValueError(_nested(clusters[kept], donors[kept], donor_key))
        _note(notes, kept & single, "are in clusters with cells of one donor alone")
        kept &= ~single
    if not kept.any():
        why = "; ".join(notes) or "there are no cells"
        raise ValueError(f"no cell is left to compare: {why}")
    rows = np.flatnonzero(kept)
    return DriverCells(
        rows=rows,
        fates=values[rows],
        names=names,
        clusters=clusters[rows],
        donors=None if donors is None else donors[rows],
        notes=tuple(notes),
    )


def _checked(given: Any) -> pd.DataFrame:
    fates = checked_fates(given)
    if fates.shape[1] < 2:
        raise ValueError(
            f"drivers need at least two fates; there is one only, {fates.columns[0]!r}, and all "
            "cells have the same probability of it"
            if fates.shape[1]
            else "drivers need at least two fates; there is none"
        )
    return fates


def _chosen(fates: pd.DataFrame, fate: str | Sequence[str] | None) -> tuple[str, ...]:
    if fate is None:
        return tuple(fates.columns)
    names = (fate,) if isinstance(fate, str) else tuple(dict.fromkeys(fate))
    unknown = [name for name in names if name not in fates.columns]
    if unknown or not names:
        raise KeyError(
            f"fate: there is no fate {', '.join(map(repr, unknown)) or 'to test'}; the fates are: "
            f"{', '.join(map(str, fates.columns))}"
        )
    return names


def _clusters(
    obs: pd.DataFrame, cluster_key: str | Sequence[str] | None
) -> Shaped[ndarray, " cell"]:
    """The label of each cell; with several columns, one for each combination."""
    keys = [cluster_key] if isinstance(cluster_key, str) else list(cluster_key or ())
    if not keys:
        return np.full(len(obs), "all cells")
    columns = [obs_labels(obs, key, "cluster_key") for key in keys]
    return _combinations(columns)


def _combinations(columns: Sequence[Shaped[ndarray, " cell"]]) -> Shaped[ndarray, " cell"]:
    """The labels of several columns as one; what separates them is in none of the labels."""
    separator = " | "
    while any(separator.strip() in label for column in columns for label in np.unique(column)):
        separator = f" |{separator.strip()} "
    return np.array([separator.join(labels) for labels in zip(*columns, strict=True)])


def _of_one_donor(
    clusters: Shaped[ndarray, " cell"],
    donors: Shaped[ndarray, " cell"],
    kept: Bool[ndarray, " cell"],
) -> Bool[ndarray, " cell"]:
    """Whether all kept cells of a cell's cluster are of one donor."""
    pairs = pd.DataFrame({"cluster": clusters[kept], "donor": donors[kept]})
    number = pairs.groupby("cluster")["donor"].nunique()
    return np.isin(clusters, number.index[number < 2].to_numpy(dtype=str))


def _nested(
    clusters: Shaped[ndarray, " cell"], donors: Shaped[ndarray, " cell"], donor_key: str | None
) -> str:
    names = np.unique(clusters)
    examples = some_names(
        (f"{name}: {donors[clusters == name][0]}" for name in names), separator="; "
    )
    return (
        f"donors are nested in clusters: each of the {len(names):,} clusters has cells of one "
        f"{donor_key} alone ({examples}), so that nothing "
        "found in one donor can be repeated in another, and no p-value can be given. Name coarser "
        "clusters (cluster_key), or leave donor_key out for effects among cells"
    )


def _note(notes: list[str], which: Bool[ndarray, " cell"], why: str) -> None:
    if which.any():
        notes.append(f"{int(which.sum()):,} of {len(which):,} cells {why}; they are left out")
