"""Some cells, kept while the blocks of all cells pass by, so that no file is read twice."""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.fates.candidate_scores import NUM_REFERENCES
from bionemo.geneformer_t.ragged import Ragged


class PassingCells:
    """Keeps the cells of some rows.

    Args:
        rows: Which, ascending.
    """

    def __init__(self, rows: Int[ndarray, " row"]) -> None:
        self._rows = rows
        self._found: list[Int[ndarray, " _"]] = []

    def read(self, blocks: Iterable[Ragged]) -> None:
        """Read all blocks."""
        for _ in self.following(blocks):
            pass

    def following(self, blocks: Iterable[Ragged]) -> Iterator[Ragged]:
        """The same blocks, of which the cells are kept."""
        first = 0
        for block in blocks:
            begin, end = np.searchsorted(self._rows, (first, first + len(block)))
            self._found += block.take(self._rows[begin:end] - first).rows()
            first += len(block)
            yield block

    def cells(self) -> Ragged:
        """The cells so far, in the order of their rows."""
        return Ragged.of(self._found)

    def filled(self) -> Ragged:
        """Those of them that express a gene."""
        return Ragged.of([cell for cell in self._found if len(cell)])


def reference_rows(num_cells: int, seed: int) -> Int[ndarray, " row"]:
    """Rows of the cells that scores are relative to, where a checkpoint has none, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(num_cells)[:NUM_REFERENCES])
