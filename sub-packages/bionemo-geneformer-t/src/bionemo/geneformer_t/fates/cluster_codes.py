"""The cluster of each cell as a number, with cells that have none as a cluster of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.obs_columns import obs_column
from bionemo.geneformer_t.some_names import some_names

NO_CLUSTER = "no cluster"
_SHOWN = 30


@dataclass(frozen=True, kw_only=True)
class ClusterCodes:
    """Clusters by name and number."""

    names: tuple[str, ...]
    codes: Int[ndarray, " cell"]
    num_without: int
    """Cells without a label, which are in the last cluster, `NO_CLUSTER`."""

    def shares(self, weights: Float[ndarray, " cell"]) -> Float[ndarray, " cluster"]:
        """The sum of the weights of each cluster's cells."""
        found: Float[ndarray, " cluster"] = np.bincount(
            self.codes, weights=weights, minlength=len(self.names)
        )
        return found


def cluster_codes(obs: pd.DataFrame, key: str | None, setting: str = "cluster_key") -> ClusterCodes:
    """The clusters of a column, in the order of its categories or by name, without unused ones.

    Raises:
        ValueError: The setting is empty, or no cell has a label.
        KeyError: There is no such column.
    """
    column = obs_column(obs, key, setting)
    texts = column.astype(object).map(str, na_action="ignore")
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories().cat.categories
        names = list(dict.fromkeys(map(str, used)))
    else:
        names = sorted(texts.dropna().unique())
    if not names:
        raise ValueError(f"{setting}: no cell has a label in obs[{key!r}]")
    codes = pd.Index(names).get_indexer(pd.Index(texts))
    without = codes < 0
    if without.any():
        names = [*names, NO_CLUSTER]
        codes = np.where(without, len(names) - 1, codes)
    return ClusterCodes(
        names=tuple(names), codes=codes.astype(np.int64), num_without=int(without.sum())
    )


def cells_labelled(
    obs: pd.DataFrame, key: str | None, labels: Sequence[str], setting: str
) -> Bool[ndarray, " cell"]:
    """Cells that have one of these labels in a column of obs.

    Args:
        obs: One row for each cell.
        key: Name of the column.
        labels: Their labels; a whole number stands for the same number in a column of floats.
        setting: What the user calls the labels.

    Raises:
        KeyError: There is no such column, or no cell has one of these labels; lists those that are.
        ValueError: No label is given.
    """
    clusters = cluster_codes(obs, key, f"{setting}_key")
    there = clusters.names[: len(clusters.names) - (clusters.num_without > 0)]
    wanted = [_as_held(label, there) for label in labels]
    shown = some_names(there, _SHOWN)
    if not wanted:
        raise ValueError(
            f"{setting} names no label, so there are no starting cells; obs[{key!r}] has: {shown}"
        )
    unknown = [label for label in dict.fromkeys(wanted) if label not in there]
    if unknown:
        raise KeyError(
            f"{setting}: obs[{key!r}] has no {', '.join(map(repr, unknown))}; it has: {shown}"
        )
    places = [there.index(label) for label in wanted]
    return np.isin(clusters.codes, places)


def _as_held(label: str, there: Sequence[str]) -> str:
    """`1` where the column has `1.0`, as pandas makes of numbers with gaps."""
    return f"{label}.0" if label not in there and f"{label}.0" in there else label
