"""Effects in each cell: a table of cells x targets for each readout."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.perturbation.cell_edits import EditedCells

MOST_NUMBERS = 1 << 28
"""Effects that are held in memory, at most: 1 GiB."""


class CellEffects:
    """Collects effects while they are computed; NaN where an edit changes nothing that is read.

    Args:
        num_cells: Cells that are edited.
        num_targets: Targets that are kept, the first ones.
        readouts: Names.

    Raises:
        ValueError: They would need more than 1 GiB.
    """

    def __init__(self, num_cells: int, num_targets: int, readouts: tuple[str, ...]) -> None:
        self.readouts = readouts
        if (numbers := num_cells * num_targets * len(readouts)) > MOST_NUMBERS:
            raise ValueError(
                f"effects in each of {num_cells:,} cells, for {num_targets:,} targets and "
                f"{len(readouts)} readouts, are {numbers:,} numbers, and at most {MOST_NUMBERS:,} "
                "are kept; name fewer genes or clusters"
            )
        shape = (len(readouts), num_cells, num_targets)
        self.effects: Float[ndarray, "readout cell target"] = np.full(shape, np.nan, np.float32)

    def add(self, batch: EditedCells, effects: Float[ndarray, "context readout"]) -> None:
        """Keep some."""
        kept = batch.targets < self.effects.shape[2]
        cells, targets = batch.cells[kept], batch.targets[kept]
        self.effects[:, cells, targets] = effects[kept].T

    def tables(
        self, rows: Int[ndarray, " cell"], obs_names: pd.Index, targets: Sequence[str]
    ) -> dict[str, pd.DataFrame]:
        """A table of all cells x targets for each readout, NaN for cells that were not edited.

        Args:
            rows: Of the cells that were edited.
            obs_names: Of all cells.
            targets: Names of the columns.
        """
        found = {}
        for readout, effects in zip(self.readouts, self.effects, strict=True):
            values = np.full((len(obs_names), len(targets)), np.nan, np.float32)
            values[rows] = effects
            found[readout] = pd.DataFrame(values, index=obs_names, columns=list(targets))
        return found
