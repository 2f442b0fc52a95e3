"""The true composition of the time points that come after the starting cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.fates.cluster_codes import ClusterCodes
from bionemo.geneformer_t.neighbors.time_labels import time_values
from bionemo.geneformer_t.obs_columns import obs_column


@dataclass(frozen=True, kw_only=True)
class LaterTimes:
    """Time points, from early to late."""

    labels: tuple[str, ...]
    shares: Float[ndarray, "time cluster"]
    num_cells: Int[ndarray, " time"]
    num_unknown: int
    """Cells without a time."""


def later_times(
    obs: pd.DataFrame,
    key: str,
    order: Sequence[str] | None,
    clusters: ClusterCodes,
    starts: Int[ndarray, " start"],
) -> LaterTimes:
    """Compositions of all cells of each time point later than the first of a starting cell.

    Raises:
        KeyError: No such column.
        ValueError: Its labels are no times, or no starting cell has one.
    """
    column = obs_column(obs, key, "time_key")
    times = time_values(column, order)
    known = times[starts][np.isfinite(times[starts])]
    if not len(known):
        raise ValueError(
            f"time_key: none of the {len(starts):,} starting cells has a time in obs[{key!r}]; "
            "leave time_key out, or start from cells that have one"
        )
    texts = column.astype(object).map(str).to_numpy()
    later = np.unique(times[times > known.min()])
    members = [times == time for time in later]
    sizes = np.array([one.sum() for one in members], dtype=np.int64)
    shares = [clusters.shares(one / one.sum()) for one in members]
    return LaterTimes(
        labels=tuple(str(texts[one.argmax()]) for one in members),
        shares=np.array(shares).reshape(-1, len(clusters.names)),
        num_cells=sizes,
        num_unknown=int(np.isnan(times).sum()),
    )
