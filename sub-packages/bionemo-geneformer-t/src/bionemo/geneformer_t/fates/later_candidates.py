"""Which candidates a cell may go to: all of them, or those of the next time point."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.neighbors.time_labels import joined_time_values, time_values
from bionemo.geneformer_t.obs_columns import obs_column


@dataclass(frozen=True, kw_only=True)
class CandidateSets:
    """Sets of candidates, and which of them each cell chooses from."""

    set_of_cell: Int[ndarray, " cell"]
    rows: list[Int[ndarray, " _"]]
    """The candidates of each set, ascending; some may be empty."""
    names: list[str]
    """What to call each set in messages."""


def all_candidates(num_cells: int, num_candidates: int) -> CandidateSets:
    """Every cell chooses from all candidates."""
    return CandidateSets(
        set_of_cell=np.zeros(num_cells, dtype=np.int64),
        rows=[np.arange(num_candidates)],
        names=["in all"],
    )


def next_time_candidates(
    obs: pd.DataFrame | None,
    of_candidates: pd.DataFrame | None,
    time_key: str,
    time_order: Sequence[str] | None = None,
) -> CandidateSets:
    """Every cell chooses from the candidates of the first time point that is later than its own.

    Args:
        obs: Of the cells.
        of_candidates: Of the candidates; the same object where they are the same cells.
        time_key: The column of both with the time of each cell.
        time_order: The labels from early to late, where they are no times.

    Raises:
        KeyError: There is no such column.
        ValueError: There is no obs, labels cannot be read as times, or cells have none.
    """
    if obs is None or of_candidates is None:
        raise ValueError(
            f"time_key={time_key!r} needs a column of obs, and an SCDL archive has no obs; give "
            "an .h5ad, or leave time_key out"
        )
    own = obs_column(obs, time_key, "time_key", "the cells")
    if of_candidates is obs:
        times = candidate_times = time_values(own, time_order)
    else:
        others = obs_column(of_candidates, time_key, "time_key", "the candidates")
        times, candidate_times = joined_time_values([own, others], time_order)
    for what, values in (("cells", times), ("candidates", candidate_times)):
        missing = int(np.isnan(values).sum())
        if missing:
            raise ValueError(
                f"time_key: {missing} of {len(values)} {what} have no time in obs[{time_key!r}]; "
                "label them or leave them out"
            )
    later = np.unique(candidate_times)
    return CandidateSets(
        set_of_cell=np.searchsorted(later, times, side="right"),
        rows=[*(np.flatnonzero(candidate_times == time) for time in later), np.zeros(0, np.int64)],
        names=[*(f"of time {time:g}" for time in later), "after the last time point"],
    )
