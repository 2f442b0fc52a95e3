"""Exact effects: every edited cell is read by the network, and its readouts compared.

Each cell is read once as it is. Its edited copies go through the network in batches over cells and
targets; of each batch only the transition rows are kept, and of these only sums. Processes that
`torchrun` started share the batches. Sums are saved now and then, so that an interrupted run goes
on where it was.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.files import whole_file
from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits, EditedCells, Untouched
from bionemo.geneformer_t.perturbation.effect_sums import EffectSums
from bionemo.geneformer_t.perturbation.next_step import NextStep, Rows, means
from bionemo.geneformer_t.perturbation.processes import Processes

OnEffects = Callable[[EditedCells, Float[ndarray, "context readout"]], object]
CONTEXTS_AT_ONCE = 64
SAVED_EVERY = 60.0
"""Seconds between two savings."""


@dataclass(frozen=True, kw_only=True)
class ExactEffects:
    """Effects of all edits of all cells."""

    sums: EffectSums
    """By target, group and readout; the last readout is the change of the transition row."""
    untouched: Untouched
    base: Float[ndarray, "cell readout"]
    """The readouts of the cells as they are, without the change of the row."""


def exact_effects(
    next_step: NextStep,
    edits: CellEdits,
    own: Int[ndarray, " cell"],
    groups: Int[ndarray, " cell"],
    *,
    saved: "SavedSums | None" = None,
    processes: Processes = Processes(),  # noqa: B008 - frozen
    on_contexts: OnCells = int,
    on_effects: OnEffects | None = None,
) -> ExactEffects:
    """Read every edited cell.

    Args:
        next_step: The readouts.
        edits: Cells and targets.
        own: The row of each cell among the candidates.
        groups: The group of each cell, from 0.
        saved: Where sums are kept meanwhile.
        processes: Those that share the work.
        on_contexts: Told how many more edited cells are done.
        on_effects: Given the effects in each cell, in batches; sums are not resumed then.
    """
    base = _base_rows(next_step, edits, own)
    values = means(base, next_step.values)
    number = int(groups.max(initial=0)) + 1
    sums = EffectSums.zeros(
        len(edits.targets), number, np.append(readout_spans(next_step.values), 1.0)
    )
    done = saved.resume(sums) if saved is not None and on_effects is None else 0
    for at, batch in enumerate(edits.batches(CONTEXTS_AT_ONCE)):
        if at % processes.number != processes.rank:
            continue
        if at < done:
            on_contexts(len(batch.cells))
            continue
        rows = next_step.rows(batch.contexts, own[batch.cells])
        changed = total_variation(base.take(batch.cells), rows)
        effects = means(rows, next_step.values) - values[batch.cells]
        of_cells = np.column_stack([effects, changed])
        sums.add(batch.targets, groups[batch.cells], of_cells)
        if on_effects is not None:
            on_effects(batch, of_cells)
        elif saved is not None:
            saved.save(sums, at + 1)
        on_contexts(len(batch.cells))
    processes.add_up(sums.sums, sums.counts)
    if saved is not None:
        saved.remove()
    return ExactEffects(sums=sums, untouched=edits.untouched, base=values)


def readout_spans(values: Float[ndarray, "candidate readout"]) -> Float[ndarray, " readout"]:
    """The largest possible effect on each readout; candidates without a value count as 0."""
    held = np.nan_to_num(values)
    return np.maximum(held.max(axis=0), 0) - np.minimum(held.min(axis=0), 0)


def total_variation(one: Rows, other: Rows) -> Float[ndarray, " cell"]:
    """Half the summed difference of two rows: the probability that goes elsewhere, from 0 to 1."""
    is_same = one.candidates[:, :, None] == other.candidates[:, None, :]
    shared = np.minimum(one.probabilities[:, :, None], other.probabilities[:, None, :])
    found: Float[ndarray, " cell"] = 1 - (shared * is_same).sum(axis=(1, 2))
    return found.clip(0, 1)


def _base_rows(next_step: NextStep, edits: CellEdits, own: Int[ndarray, " cell"]) -> Rows:
    """The transition rows of the cells as they are, read in the order of the edits."""
    order = edits.order
    read = edits.cells.truncated(edits.genes_read)
    parts = [
        next_step.rows(read.take(part), own[part])
        for part in np.array_split(order, max(1, -(-len(order) // CONTEXTS_AT_ONCE)))
    ]
    return Rows.joined(parts).take(np.argsort(order))


class SavedSums:
    """Sums of an unfinished run in a file beside its output.

    Args:
        path: The file.
        fingerprint: Of all that the sums depend on; sums of anything else are not used.
        clock: Seconds.
    """

    def __init__(
        self, path: Path, fingerprint: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self._fingerprint = fingerprint
        self._clock = clock
        self._last = clock()

    def resume(self, sums: EffectSums) -> int:
        """Fill sums with what was saved; the number of batches in them, 0 if there are none."""
        if not self.path.is_file():
            return 0
        with np.load(self.path, allow_pickle=False) as held:
            if str(held["fingerprint"]) != self._fingerprint:
                return 0
            values: dict[str, Any] = dict(held)
        sums.update(values)
        return int(values["done"])

    def save(self, sums: EffectSums, done: int) -> None:
        """Save, if the last time was long ago."""
        if self._clock() - self._last < SAVED_EVERY:
            return
        with whole_file(self.path) as partial, partial.open("wb") as file:
            np.savez(file, fingerprint=self._fingerprint, done=done, **sums.to_dict())
        self._last = self._clock()

    def remove(self) -> None:
        """The run is finished."""
        self.path.unlink(missing_ok=True)
