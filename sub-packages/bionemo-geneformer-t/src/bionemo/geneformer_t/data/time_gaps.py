"""The time between a current cell and its next cell, as an input of training.

A gap is the difference of two values of a column of `obs`, in the unit of that column, or a number
of steps along the graph. NaN is a gap that the model is not told.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt64
from numpy import ndarray

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.sampling import substreams, uniform
from bionemo.geneformer_t.data.stored_graphs import read_split, read_times, recorded_options
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.neighbors.time_labels import unit_of_times

STEPS = "steps"
"""In place of a column: the gap is the number of steps along the graph."""
_HIDDEN = 1 << 34
"""The stream of a next cell that decides whether its gap is told."""


@dataclass(frozen=True, kw_only=True)
class TimeGaps:
    """The gaps of the pairs of a split."""

    key: str
    """Column of obs, or `steps`."""
    unit: str
    """What gaps are counted in, such as `days` or `pseudotime`."""
    days: float | None = None
    """Length of the unit in days, where it is one of time."""
    times: Float[ndarray, " cell"] | None = None
    """Of each cell of the split; None where steps are counted."""

    @classmethod
    def of_split(cls, store: CellStore, graph: NeighborGraph, key: str) -> "TimeGaps":
        """The gaps of the pairs of a graph.

        Args:
            store: The cells of the split.
            graph: Who may follow whom among them.
            key: Column of obs, or `steps`.

        Raises:
            KeyError: obs has no such column; an SCDL archive has no obs at all.
            ValueError: Its values are no times, some successors are not later than their current
                cells, or no batch, by the column that the data were prepared with, has cells of
                two times.
        """
        if key == STEPS:
            return cls(key=key, unit=STEPS)
        split = read_split(store)
        recorded = recorded_options(split.folder)
        order = recorded.get("time_order") if recorded.get("time_key") == key else None
        times = read_times({"": split}, key, order)[""]
        _check(times, graph, key, str(store.split_dir))
        batch_key = recorded.get("batch_key")
        if batch_key is not None and batch_key in split.obs:
            _check_batches(
                split.obs[batch_key].astype(str).to_numpy(dtype=str), graph, key, batch_key
            )
        unit, days = unit_of_times(split.obs[key], key, order)
        return cls(key=key, unit=unit, days=days, times=times)

    def between(
        self,
        cells: Int[ndarray, " pair"],
        next_cells: Int[ndarray, " pair"],
        steps: Int[ndarray, " pair"],
    ) -> Float[ndarray, " pair"]:
        """The gap of each pair; NaN where the next cell is not later, as in shuffled pairs.

        Args:
            cells: Current cells.
            next_cells: Their next cells.
            steps: Steps along the graph from one to the other.
        """
        if self.times is None:
            found = steps.astype(np.float64)
        else:
            found = self.times[next_cells] - self.times[cells]
        return np.where(found > 0, found, np.nan)


def hide(
    gaps: Float[ndarray, " pair"], keys: UInt64[ndarray, " pair"], fraction: float
) -> Float[ndarray, " pair"]:
    """The gaps, NaN for so many of them that are drawn at random.

    Args:
        gaps: Of each pair.
        keys: The random stream of each next cell.
        fraction: How many are hidden.
    """
    drawn = uniform(substreams(keys, _HIDDEN), np.zeros(len(keys), dtype=np.int64))
    return np.where(drawn < fraction, np.nan, gaps)


def _check_batches(
    batches: Shaped[ndarray, " cell"], graph: NeighborGraph, key: str, batch_key: str
) -> None:
    """Refuse a time that is a batch: where every pair leads from one batch to another."""
    crosses = batches[graph.indices] != batches[graph.current]
    if len(crosses) and crosses.all():
        raise ValueError(
            f"time_gap_key: obs[{key!r}] cannot be told from obs[{batch_key!r}], the batch that "
            f"these data were prepared with: each of the {len(crosses):,} pairs of cells leads "
            "from one batch to another, and a model would learn differences between batches as "
            f"time. Count the steps of the graph (time_gap_key={STEPS!r}) with the same caution, "
            "or leave the gap out"
        )


def _check(times: Float[ndarray, " cell"], graph: NeighborGraph, key: str, place: str) -> None:
    """Refuse times under which successors are not later."""
    gaps = times[graph.indices] - times[graph.current]
    wrong = np.flatnonzero(~(gaps > 0))
    if not len(wrong):
        return
    unknown = int(np.isnan(gaps).sum())
    raise ValueError(
        f"time_gap_key: {len(wrong):,} of the {len(gaps):,} pairs of cells in {place} have no time "
        f"between them by obs[{key!r}]: in {unknown:,} it is unknown for a cell, and in "
        f"{len(wrong) - unknown:,} the next cell is not later than the current one. Name the "
        "column by which the graph was built, or count the steps of the graph: "
        f"time_gap_key={STEPS!r}"
    )
