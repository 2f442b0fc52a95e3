"""What is known about cells: their times, clusters, batches or donors, and coordinates.

Both graph reports and evaluations read them, from columns of `obs`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped
from numpy import ndarray

from bionemo.geneformer_t.obs_columns import obs_column

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class CellFacts:
    """What is known about cells, one row each; measures that lack their fact are left out."""

    representation: Float[ndarray, "cell component"] | None = None
    """Coordinates in which distance means difference in expression, such as `obsm["X_pca"]`."""
    time: Float[ndarray, " cell"] | None = None
    """Time or pseudotime; NaN where it is not known."""
    batch: pd.Categorical | None = None
    """Batch, sample or donor."""
    cluster: pd.Categorical | None = None
    """Cluster or cell type."""
    roots: Bool[ndarray, " cell"] | None = None
    """Cells where the trajectory begins; by default the earliest ones, where there is a time."""

    def labels(self, fact: Literal["batch", "cluster"]) -> Shaped[ndarray, " cell"] | None:
        """Batches or clusters as text, `nan` where a cell has none; None where not known."""
        found: pd.Categorical | None = getattr(self, fact)
        return None if found is None else np.asarray(found.astype(object)).astype(str)


def cell_facts(
    obs: pd.DataFrame,
    *,
    representation: Float[ndarray, "cell component"] | None = None,
    time: Float[ndarray, " cell"] | None = None,
    batch_key: str | None = None,
    cluster_key: str | None = None,
    root: str | None = None,
) -> CellFacts:
    """The facts that columns of `obs` hold.

    Args:
        obs: One row for each cell, names of cells in the index.
        representation: Coordinates of the cells.
        time: Time or pseudotime of the cells.
        batch_key: Column with the batch or donor.
        cluster_key: Column with the cluster or cell type. Clusters are put in the order of their
            mean time, unless the column has an order of its own.
        root: Name of the first cell, or a cluster whose cells are the first ones. A root that is
            not among these cells (but in another split) is left out.

    Raises:
        KeyError: No such column; lists those that exist.
    """
    cluster = None if cluster_key is None else _labels(obs, cluster_key, "cluster_key")
    roots = None if root is None else root_cells(obs.index, cluster, root)
    if cluster is not None and time is not None and not cluster.ordered:
        cluster = _by_time(cluster, time)
    return CellFacts(
        representation=representation,
        time=time,
        batch=None if batch_key is None else _labels(obs, batch_key, "batch_key"),
        cluster=cluster,
        roots=roots,
    )


def root_cells(
    names: "Sequence[str] | pd.Index", cluster: pd.Categorical | None, root: str
) -> Bool[ndarray, " cell"] | None:
    """The cell of that name, or the cells of that cluster; None where there are none."""
    of_name = np.asarray(pd.Index(names).astype(str) == root)
    if of_name.any() or cluster is None or root not in cluster.categories:
        return of_name if of_name.any() else None
    of_cluster = np.asarray(cluster == root)
    return of_cluster if of_cluster.any() else None


def _labels(obs: pd.DataFrame, key: str, option: str) -> pd.Categorical:
    column = obs_column(obs, key, option)
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(str).where(column.notna()).astype("category")
    used = column.cat.remove_unused_categories()
    labels = used.cat.rename_categories([str(label) for label in used.cat.categories])
    return pd.Categorical(labels)


def _by_time(cluster: pd.Categorical, time: Float[ndarray, " cell"]) -> pd.Categorical:
    """Clusters from early to late, those without a time last."""
    codes = np.asarray(cluster.codes, dtype=np.int64)
    known, size = (codes >= 0) & np.isfinite(time), len(cluster.categories)
    total = np.bincount(codes[known], weights=time[known], minlength=size)
    number = np.bincount(codes[known], minlength=size)
    mean = np.divide(total, number, out=np.full(size, np.inf), where=number > 0)
    order = np.argsort(mean, kind="stable")
    return cluster.reorder_categories([cluster.categories[i] for i in order], ordered=True)
