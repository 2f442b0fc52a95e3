"""All edits of all cells as batches of contexts, in an order that depends on the cells alone.

The longest cells come first, and equal cells in the order of their genes, so that the order of the
input changes no batch and therefore no number. Only edits that change what the model reads become
contexts; the others are counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Integer
from numpy import ndarray

from bionemo.geneformer_t.perturbation.edits import AsIn, Delete, Edit, edited
from bionemo.geneformer_t.ragged import Ragged

Target = tuple[int, ...]
"""Tokens of the genes that are edited together, ascending."""


@dataclass(frozen=True, kw_only=True)
class EditedCells:
    """Some edited cells."""

    cells: Int[ndarray, " context"]
    """Which cell each was."""
    targets: Int[ndarray, " context"]
    """Which target was edited in it."""
    contexts: Ragged
    """What the model reads of it."""


@dataclass(frozen=True, kw_only=True)
class Untouched:
    """Cells that an edit leaves as they are, by target."""

    without: Int[ndarray, " target"]
    """They lack a gene that is to be deleted or moved."""
    unchanged: Int[ndarray, " target"]
    """The model reads the same of them: a gene is beyond what it reads, or is where it should be
    already."""
    emptied: Int[ndarray, " target"]
    """No gene would be left to read."""


class CellEdits:
    """Targets to be edited, one after the other, in some cells.

    Args:
        cells: All known genes of each in rank order.
        targets: What is edited.
        edit: How.
        genes_read: How many of a cell's genes the model reads.
        ranks_elsewhere: For `AsIn`, the rank of every gene of the targets in the other cluster.
    """

    def __init__(
        self,
        cells: Ragged,
        targets: Sequence[Target],
        edit: Edit,
        genes_read: int,
        ranks_elsewhere: Mapping[int, int] | None = None,
    ) -> None:
        self.cells = cells
        self.targets = list(targets)
        self.edit = edit
        self.genes_read = genes_read
        self._tokens = [np.array(target) for target in self.targets]
        self._elsewhere = ranks_elsewhere
        self._of_first: dict[int, list[int]] = {}
        for number, target in enumerate(self.targets):
            self._of_first.setdefault(target[0], []).append(number)
        self.order = canonical_order(cells.truncated(genes_read))
        """The cells in the order in which they are edited."""
        self.untouched = Untouched(
            without=np.zeros(len(self.targets), dtype=np.int64),
            unchanged=np.zeros(len(self.targets), dtype=np.int64),
            emptied=np.zeros(len(self.targets), dtype=np.int64),
        )
        """Counts over the cells that have been edited so far."""

    def batches(self, size: int) -> Iterator[EditedCells]:
        """Edited cells, so many at a time, from the beginning."""
        for counts in vars(self.untouched).values():
            counts[:] = 0
        waiting: list[tuple[int, int, Integer[ndarray, " _"]]] = []
        for cell in self.order.tolist():
            for target, context in self._edits_of(self.cells.row(cell)):
                waiting.append((cell, target, context))
                if len(waiting) == size:
                    yield _batch(waiting)
                    waiting = []
        if waiting:
            yield _batch(waiting)

    def _edits_of(
        self, cell: Integer[ndarray, " gene"]
    ) -> Iterator[tuple[int, Integer[ndarray, " _"]]]:
        """The targets whose edit changes what is read of a cell, with what is read then."""
        tally, read = self.untouched, cell[: self.genes_read]
        met = self._candidates(cell)
        tally.without[np.setdiff1d(np.arange(len(self.targets)), met, assume_unique=True)] += 1
        for target in met:
            after = edited(cell, self._tokens[target], self.edit, self._elsewhere)
            if after is None:
                tally.without[target] += 1
                continue
            context = after[: self.genes_read]
            if not len(context):
                tally.emptied[target] += 1
            elif np.array_equal(context, read):
                tally.unchanged[target] += 1
            else:
                yield target, context

    def _candidates(self, cell: Integer[ndarray, " gene"]) -> list[int]:
        """Targets that the cell may be edited for, ascending."""
        if isinstance(self.edit, AsIn):
            return list(range(len(self.targets)))
        held = [self._of_first.get(gene, ()) for gene in cell.tolist()]
        found = sorted(target for targets in held for target in targets)
        if not isinstance(self.edit, Delete):
            return found
        # a gene beyond what is read is deleted without any effect: no need to try
        beyond = set(cell[self.genes_read :].tolist())
        unread = [t for t in found if beyond.issuperset(self.targets[t])]
        self.untouched.unchanged[unread] += 1
        self.untouched.without[unread] -= 1  # counted there as not among those that are returned
        return sorted(set(found) - set(unread))


def canonical_order(cells: Ragged) -> Int[ndarray, " cell"]:
    """The longest cells first; of equal length, in the order of their genes."""
    rows = cells.rows()
    ordered = sorted(range(len(rows)), key=lambda i: (-len(rows[i]), rows[i].tobytes()))
    return np.array(ordered, dtype=np.int64)


def _batch(waiting: Sequence[tuple[int, int, Integer[ndarray, " _"]]]) -> EditedCells:
    cells, targets, contexts = zip(*waiting, strict=True)
    return EditedCells(
        cells=np.array(cells), targets=np.array(targets), contexts=Ragged.of(list(contexts))
    )
