"""Exact effects: every edited cell is read by the network, and its readouts compared.

Each cell is read once as it is. Its edited copies go through the network in batches over cells and
targets; of each batch only the transition rows are kept, and of these only sums. Processes that
`torchrun` started share the batches. Sums are saved now and then, so that an interrupted run goes
on where it was.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits, EditedCells, Untouched
from bionemo.geneformer_t.perturbation.effect_sums import EffectSums
from bionemo.geneformer_t.perturbation.next_step import NextStep, Rows, means
from bionemo.geneformer_t.perturbation.processes import Processes
from bionemo.geneformer_t.perturbation.saved_sums import SavedSums

OnEffects = Callable[[EditedCells, Float[ndarray, "context readout"]], object]
CONTEXTS_AT_ONCE = 64


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
    saved: SavedSums | None = None,
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
    kept = saved if on_effects is None else None
    done = kept.resume(sums) if kept is not None else 0
    at = -1
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
        if kept is not None:
            kept.save(sums, at + 1)
        on_contexts(len(batch.cells))
    if kept is not None:
        kept.finish(sums, at + 1)
    processes.add_up(sums.sums, sums.counts)
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
