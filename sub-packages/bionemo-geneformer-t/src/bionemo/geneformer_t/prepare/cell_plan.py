"""Which cells take part, and in which split: decided before anything is learned from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.counts.duplicate_cells import UNIQUE, earliest_split, groups_of_copies
from bionemo.geneformer_t.counts.join_inputs import InputCells
from bionemo.geneformer_t.data.folder import SPLITS, TRAIN
from bionemo.geneformer_t.neighbors.pseudotime_neighbors import pseudotime_values
from bionemo.geneformer_t.neighbors.time_labels import time_values
from bionemo.geneformer_t.obs_columns import obs_column
from bionemo.geneformer_t.prepare.group_splits import split_by_group, split_by_time_point
from bionemo.geneformer_t.prepare.settings import PrepareSettings
from bionemo.geneformer_t.prepare.splits import split_by_cell, split_fractions

NOWHERE = ""
"""The split of cells that are left out."""


@dataclass(frozen=True, kw_only=True)
class CellPlan:
    """Where each cell goes."""

    split: Shaped[ndarray, " cell"]
    """One of `SPLITS`, or `NOWHERE`."""
    times: Float[ndarray, " cell"] | None
    """Time of each cell, where there is a time."""
    left_out: Mapping[str, int]
    """How many cells were left out, and why."""
    copies: "Copies"

    def rows(self, name: str) -> Int[ndarray, " member"]:
        """The cells of a split."""
        return np.flatnonzero(self.split == name)

    @property
    def names(self) -> list[str]:
        """The splits that hold cells."""
        return [name for name in SPLITS if (self.split == name).any()]


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Held-out cells that are copies of a cell in an earlier split."""

    number: int
    examples: tuple[tuple[str, str], ...]
    """Some of them, each with the cell that it is a copy of."""


def plan_cells(cells: InputCells, settings: PrepareSettings) -> CellPlan:
    """Choose the cells and draw their splits.

    Raises:
        KeyError: A setting names a column that obs lacks.
        ValueError: Times cannot be read, no cell is left, or the splits cannot be drawn.
    """
    fractions = split_fractions(settings.val_fraction, settings.test_fraction)
    times, kept, left_out = usable_cells(cells.obs, cells.totals, settings)
    split = np.full(len(kept), NOWHERE, dtype="<U5")
    generator = np.random.default_rng(settings.seed)
    chosen = cells.obs.iloc[np.flatnonzero(kept)]
    split[kept] = draw_split(
        chosen, None if times is None else times[kept], fractions, settings, generator
    )
    _keep_root_in_training(split, cells.obs, settings)
    split, copies = _treat_copies(cells, split, settings)
    if copies.number and settings.duplicates == "drop":
        left_out = {**left_out, "that are copies of a cell in an earlier split": copies.number}
    empty = [name for name in SPLITS if fractions[name] > 0 and not (split == name).any()]
    if empty:
        raise ValueError(f"no cell is left in {', '.join(empty)}; add cells, or change the split")
    return CellPlan(split=split, times=times, left_out=left_out, copies=copies)


def usable_cells(
    obs: pd.DataFrame, totals: Float[ndarray, " cell"], settings: PrepareSettings
) -> tuple[Float[ndarray, " cell"] | None, Bool[ndarray, " cell"], dict[str, int]]:
    """The times, the cells that have counts and all that the settings ask of obs, and the others.

    Returns:
        The time of each cell, which cells take part, and how many do not and why.
    """
    times = None
    kept = np.ones(len(obs), dtype=bool)
    left_out: dict[str, int] = {}

    def require(has: Bool[ndarray, " cell"], reason: str) -> None:
        left_out[reason] = int((kept & ~has).sum())
        np.logical_and(kept, has, out=kept)

    if settings.time_key is not None:
        column = obs_column(obs, settings.time_key, "time_key", "the input")
        times = time_values(column, settings.time_order)
        require(np.isfinite(times), f"without a time in obs[{settings.time_key!r}]")
    if settings.pseudotime_key is not None:
        column = obs_column(obs, settings.pseudotime_key, "pseudotime_key", "the input")
        has = np.isfinite(pseudotime_values(column))
        require(has, f"without a finite pseudotime in obs[{settings.pseudotime_key!r}]")
    if settings.batch_key is not None:
        obs_column(obs, settings.batch_key, "batch_key", "the input")
    for setting in ("cluster_key", "split_by"):
        key = getattr(settings, setting)
        if key is not None and key != settings.time_key:
            has = obs_column(obs, key, setting, "the input").notna().to_numpy()
            require(has, f"without a label in obs[{key!r}]")
    require(totals > 0, "without any count")
    if not kept.any():
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count)
        raise ValueError(f"no cell is left to prepare: {reasons}")
    return times, kept, left_out


def draw_split(
    obs: pd.DataFrame,
    times: Float[ndarray, " cell"] | None,
    fractions: Mapping[str, float],
    settings: PrepareSettings,
    generator: np.random.Generator,
) -> Shaped[ndarray, " cell"]:
    """The split of each cell: by cell, by group, or with time points held out."""
    if settings.split_by is None:
        strata: Any = times
        if strata is None and settings.cluster_key is not None:
            strata = obs[settings.cluster_key].astype(str).to_numpy(dtype=np.str_)
        return split_by_cell(len(obs), fractions, generator, groups=strata)
    labels = obs[settings.split_by].astype(str).str.strip().to_numpy(dtype=np.str_)
    if settings.split_by == settings.time_key:
        assert times is not None
        return split_by_time_point(times, labels, fractions, generator, settings.held_out)
    return split_by_group(labels, fractions, generator, settings.held_out)


def _keep_root_in_training(
    split: Shaped[ndarray, " cell"], obs: pd.DataFrame, settings: PrepareSettings
) -> None:
    """A root cell orders the training cells, so it must be one of them."""
    if settings.root is None or settings.root not in obs.index:
        return
    place = int(np.flatnonzero(obs.index == settings.root)[0])
    if split[place] == NOWHERE:
        raise ValueError(f"root: the cell {settings.root!r} is among those that are left out")
    if split[place] != TRAIN and settings.split_by is not None:
        raise ValueError(
            f"root: the cell {settings.root!r} is held out (it is in {split[place]}), and training "
            "cells must not be ordered from a cell that they may not see; name another cell, or a "
            "cluster of cluster_key"
        )
    split[place] = TRAIN


def _treat_copies(
    cells: InputCells, split: Shaped[ndarray, " cell"], settings: PrepareSettings
) -> tuple[Shaped[ndarray, " cell"], Copies]:
    """The splits after copies were kept, dropped or moved, and what was found."""
    taking_part = split != NOWHERE
    groups = groups_of_copies(cells.digests, taking_part)
    earliest = split.copy()
    earliest[taking_part] = earliest_split(groups[taking_part], split[taking_part], SPLITS)
    late = np.flatnonzero(earliest != split)
    examples = []
    for cell in late[:3]:
        same = (groups == groups[cell]) & (groups != UNIQUE) & (split == earliest[cell])
        examples.append((str(cells.obs.index[cell]), str(cells.obs.index[np.flatnonzero(same)[0]])))
    copies = Copies(number=len(late), examples=tuple(examples))
    treated = split.copy()
    if settings.duplicates == "drop":
        treated[late] = NOWHERE
    elif settings.duplicates == "move":
        treated[late] = earliest[late]
    return treated, copies
