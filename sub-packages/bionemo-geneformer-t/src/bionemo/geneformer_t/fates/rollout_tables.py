"""Compositions of a rollout as a tidy table: one share in each row.

Columns:

* `source`: `walks` (sampled), `exact` (infinitely many walks), three nulls, or `time point`;
* `step`: 0 for the starting cells; missing for time points;
* `time`: label of a time point; empty for steps;
* `measure`: `cluster`, or `cannot be left`, the share in cells that go nowhere else;
* `cluster`: empty where the measure is `cannot be left`;
* `share`, and for walks the 95 % interval `low` to `high`, NaN for others.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.fates.composition import Shares, total_variation
from bionemo.geneformer_t.fates.later_times import LaterTimes

WALKS, EXACT, TIME_POINT = "walks", "exact", "time point"
ANY_CANDIDATE = "null: any candidate"
"""Walks to any cell that there is a transition to, with equal probabilities."""
EITHER_DIRECTION = "null: either direction"
"""Walks along transitions and against them."""
ALL_CELLS = "null: all cells"
"""Shares of all cells, whatever walks do."""
CLUSTER, STOPPED = "cluster", "cannot be left"
COLUMNS = ("source", "step", "time", "measure", "cluster", "share", "low", "high")


def rollout_table(
    found: dict[str, Shares],
    all_cells: Float[ndarray, " cluster"],
    times: LaterTimes | None,
    names: Sequence[str],
) -> pd.DataFrame:
    """All shares, source by source, step by step.

    Args:
        found: By source.
        all_cells: Shares of all cells.
        times: Later time points.
        names: Of the clusters.
    """
    number = len(next(iter(found.values())).absorbed)
    parts = [_of_walks(source, shares, names) for source, shares in found.items()]
    parts.append(_rows(ALL_CELLS, np.tile(all_cells, (number, 1)), names))
    if times is not None:
        of_times = _rows(TIME_POINT, times.shares, names)
        of_times["time"] = np.repeat(np.array(times.labels, dtype=object), len(names))
        of_times["step"] = pd.array([pd.NA] * len(of_times), dtype="Int64")
        parts.append(of_times)
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    table.index = table.index.astype(str)  # as .h5ad holds it
    return table[list(COLUMNS)]


def nearest_steps(
    exact: Float[ndarray, "step cluster"],
    all_cells: Float[ndarray, " cluster"],
    times: LaterTimes | None,
) -> pd.DataFrame:
    """For each time point the step whose exact composition is nearest to its cells'.

    Returns:
        Columns `time`, `cells` (its number), `nearest_step`, `total_variation` between the two (0
        to 1), and `total_variation_all_cells`, that of all cells taken together.
    """
    labels = () if times is None else times.labels
    truth = np.zeros((0, exact.shape[1])) if times is None else times.shares
    apart = total_variation(exact[None], truth[:, None])
    nearest = apart.argmin(axis=1)
    return pd.DataFrame(
        {
            "time": np.array(labels, dtype=object),
            "cells": np.zeros(0, dtype=np.int64) if times is None else times.num_cells,
            "nearest_step": nearest.astype(np.int64),
            "total_variation": apart[np.arange(len(truth)), nearest],
            "total_variation_all_cells": total_variation(all_cells[None], truth),
        },
        index=pd.RangeIndex(len(truth)).astype(str),
    )


def _of_walks(source: str, shares: Shares, names: Sequence[str]) -> pd.DataFrame:
    whole = np.column_stack([shares.clusters, shares.absorbed])
    missing = np.full(whole.shape, np.nan)
    low = missing if shares.low is None else shares.low
    high = missing if shares.high is None else shares.high
    both = [
        _rows(source, whole[:, :-1], names, low[:, :-1], high[:, :-1]),
        _rows(source, whole[:, -1:], [""], low[:, -1:], high[:, -1:], measure=STOPPED),
    ]
    return pd.concat(both, ignore_index=True)


def _rows(
    source: str,
    shares: Float[ndarray, "time column"],
    names: Sequence[str],
    low: Float[ndarray, "time column"] | None = None,
    high: Float[ndarray, "time column"] | None = None,
    measure: str = CLUSTER,
) -> pd.DataFrame:
    missing = np.full(shares.shape, np.nan)
    steps = np.repeat(np.arange(len(shares)), len(names))
    return pd.DataFrame(
        {
            "source": np.full(shares.size, source, dtype=object),
            "step": pd.array(steps, dtype="Int64"),
            "time": np.full(shares.size, "", dtype=object),
            "measure": np.full(shares.size, measure, dtype=object),
            "cluster": np.tile(np.array(names, dtype=object), len(shares)),
            "share": shares.ravel(),
            "low": (missing if low is None else low).ravel(),
            "high": (missing if high is None else high).ravel(),
        }
    )
