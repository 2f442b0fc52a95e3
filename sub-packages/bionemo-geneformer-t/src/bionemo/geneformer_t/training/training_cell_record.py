"""What a checkpoint records of single training cells, so that predictions can name them."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.stored_graphs import read_split, recorded_options
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.evaluate.annotations import split_times
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.training_cells import LastTime, TrainingCells, cell_numbers

LEAST_CELLS_PER_TIME = 5
"""Cells that share a time on average, at least, where times are time points and no pseudotime."""
_AT_ONCE = 2048


def training_cells_of(dataset: TemporalGeneformerDataset) -> TrainingCells:
    """The cells of the split that is trained on, and its last time point.

    The last time point is recorded where no cell of it has a successor, as in graphs from one time
    point to the next.
    """
    numbers = np.concatenate(list(_numbers(dataset.tokens)))
    return TrainingCells(numbers=np.unique(numbers), last_time=_last_time(dataset))


def _numbers(tokens: CellTokens) -> Iterator[Int[ndarray, " _"]]:
    for start in range(0, len(tokens), _AT_ONCE):
        rows = tokens.rows_of(np.arange(start, min(start + _AT_ONCE, len(tokens))))
        cells = Ragged.of(rows)
        yield cell_numbers(cells)[cells.lengths > 0]


def _last_time(dataset: TemporalGeneformerDataset) -> LastTime | None:
    split = read_split(dataset.tokens.store)
    recorded = recorded_options(split.folder)
    times, key = split_times({"train": split}, None, recorded)
    if key is None or not np.isfinite(times["train"]).any():
        return None
    time = times["train"]
    known = np.isfinite(time)
    is_last = known & (time == time[known].max())
    if known.sum() < LEAST_CELLS_PER_TIME * len(np.unique(time[known])):
        return None
    if len(np.unique(time[known])) == 1 or is_last[dataset.graph.current].any():
        return None
    labels = split.obs[key][is_last].astype(str).str.strip().unique()
    return LastTime(time_key=key, labels=tuple(sorted(labels)))
