"""Cells of an input that a model was trained on, or that nothing in its training follows.

Predictions for training cells are no test of a model. Of cells of the last time point of the
training no successor was ever seen. Only what the checkpoint and the input tell is claimed.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.training_cells import TrainingCells

if TYPE_CHECKING:
    import pandas as pd

TRAINING_CELL, LAST_TIME_POINT = "training_cell", "last_time_point"


class CellMarks:
    """Marks of the cells of one input, which grow as its cells are read.

    Args:
        trained: What the checkpoint records of its training cells; None where it does not.
        obs: Of the input; None where it has none.
    """

    def __init__(
        self, trained: TrainingCells | None = None, obs: "pd.DataFrame | None" = None
    ) -> None:
        self._trained = trained
        self._parts: list[Bool[ndarray, " _"]] = []
        last = None if trained is None else trained.last_time
        self._last = last
        self._is_last = None if last is None or obs is None else last.of(obs)

    def following(self, blocks: Iterable[Ragged]) -> Iterator[Ragged]:
        """The same blocks of consecutive cells, marked before they are passed on.

        Args:
            blocks: Known genes of all cells in rank order, as `CellReader.blocks` gives them.
        """
        for block in blocks:
            if self._trained is not None:
                self._parts.append(self._trained.hold(block))
            yield block

    def of(self, cells: Int[ndarray, " cell"]) -> dict[str, Bool[ndarray, " cell"]]:
        """What is known of some cells that were read: name of the mark -> whether it holds."""
        found = {}
        if self._trained is not None:
            found[TRAINING_CELL] = self._is_trained[cells]
        if self._is_last is not None:
            found[LAST_TIME_POINT] = self._is_last[cells]
        return found

    def notes(self, *, has_columns: bool = True) -> list[str]:
        """How many cells have each mark, in words.

        Args:
            has_columns: Whether the output has a column for each mark.
        """
        if self._trained is None:
            return [
                "which cells the model was trained on is not known: the checkpoint does not record "
                "them"
            ]
        trained, found = self._is_trained, []
        if trained.any():
            found.append(
                f"{trained.sum():,} of {len(trained):,} cells are training cells of the checkpoint"
                f"{f' (column {TRAINING_CELL})' if has_columns else ''}: what is predicted for "
                "them is no test of the model"
            )
        if self._last is not None and self._is_last is not None and self._is_last.any():
            labels = " or ".join(self._last.labels)
            column = f"; column {LAST_TIME_POINT}" if has_columns else ""
            found.append(
                f"{self._is_last.sum():,} of {len(self._is_last):,} cells are of the last time "
                f"point that the model was trained on ({self._last.time_key} {labels}{column}): it "
                "never saw what follows them"
            )
        return found

    @property
    def _is_trained(self) -> Bool[ndarray, " cell"]:
        return np.concatenate([np.zeros(0, dtype=bool), *self._parts])
