"""Which cells are edited: those of some clusters, or all that are not yet at an end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.fates.terminal_settings import TERMINAL
from bionemo.geneformer_t.obs_columns import obs_column, obs_labels
from bionemo.geneformer_t.some_names import some_names


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Donors and clusters of the chosen cells."""

    of_cell: Int[ndarray, " cell"]
    """The group of each: a combination of donor and cluster."""
    donors: tuple[str, ...]
    """Of each group; empty texts without donors."""
    clusters: tuple[str, ...]
    """Of each group; empty texts without clusters."""


def chosen_rows(
    obs: pd.DataFrame,
    cluster_key: str | None,
    clusters: Sequence[str],
) -> Bool[ndarray, " cell"]:
    """Whether each cell is among those that are edited, before anything is read of it.

    Raises:
        KeyError: There is no such column.
        ValueError: Clusters are named without their column, or hold no cell, or no cell is left.
    """
    if clusters:
        if cluster_key is None:
            raise ValueError(
                f"clusters are named ({some_names(clusters)}) without cluster_key, the column of "
                f"obs that holds them; obs has: {some_names(obs.columns, most=30)}"
            )
        labels = obs_labels(obs, cluster_key, "cluster_key")
        check_clusters(labels, clusters, "clusters", cluster_key)
        return np.isin(labels, np.array(list(clusters), dtype=str))
    chosen: Bool[ndarray, " cell"] = np.ones(len(obs), dtype=bool)
    if TERMINAL in obs:
        chosen = obs[TERMINAL].isna().to_numpy()
    if not chosen.any():
        raise ValueError(
            f"all {len(obs):,} cells are in a terminal state (obs[{TERMINAL!r}]), so that none is "
            "left to be edited; name clusters"
        )
    return chosen


def check_clusters(
    labels: Shaped[ndarray, " cell"], clusters: Sequence[str], setting: str, cluster_key: str
) -> None:
    """Refuse clusters that no cell is in.

    Raises:
        ValueError: Names them, and those that exist.
    """
    held = dict.fromkeys(labels.tolist())
    missing = [name for name in clusters if name not in held]
    if missing:
        raise ValueError(
            f"{setting}: no cell has the label {some_names(map(repr, missing))} in "
            f"obs[{cluster_key!r}]; its labels are: {', '.join(held)}"
        )


def groups_of(obs: pd.DataFrame, cluster_key: str | None, donor_key: str | None) -> Groups:
    """Donor and cluster of each chosen cell.

    Args:
        obs: Of the chosen cells.
        cluster_key: Column of the clusters, if any.
        donor_key: Column of the donors, if any.

    Raises:
        KeyError: There is no such column.
        ValueError: Cells have no label.
    """
    nothing = np.full(len(obs), "")
    donors = nothing if donor_key is None else obs_labels(obs, donor_key, "donor_key")
    clusters = nothing if cluster_key is None else obs_labels(obs, cluster_key, "cluster_key")
    pairs = pd.MultiIndex.from_arrays([donors, clusters])
    of_cell, held = pairs.factorize(sort=True)
    return Groups(
        of_cell=of_cell.astype(np.int64),
        donors=tuple(str(donor) for donor, _ in held),
        clusters=tuple(str(cluster) for _, cluster in held),
    )


def numbers_of(obs: pd.DataFrame, key: str, setting: str) -> Float[ndarray, " cell"]:
    """A column of numbers; NaN where a cell has none.

    Raises:
        KeyError: There is no such column.
        TypeError: It holds no numbers.
    """
    column = obs_column(obs, key, setting)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise TypeError(
            f"{setting}: obs[{key!r}] must hold numbers; got {column.dtype}. Give a pseudotime, or "
            "times as numbers"
        )
    numbers: Float[ndarray, " cell"] = column.to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).any():
        raise ValueError(f"{setting}: no cell has a number in obs[{key!r}]")
    return numbers
