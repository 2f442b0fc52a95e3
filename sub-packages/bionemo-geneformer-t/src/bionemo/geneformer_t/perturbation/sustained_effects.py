"""Sustained effects: fates solved again for a chain in which every cell is edited, not one.

A one-step effect asks where an edited cell goes next, and lets its next cell be as it was. Here the
transition row of every cell that the edit changes is replaced, and the absorption probabilities of
the new chain are compared with those of the chain as it was. Both chains are without the model's
kNN memory; see `next_step`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.fates.chain_structure import chain_structure
from bionemo.geneformer_t.fates.fate_probabilities import fate_probabilities
from bionemo.geneformer_t.fates.terminal_settings import TERMINAL
from bionemo.geneformer_t.fates.terminal_states import TerminalStates
from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits
from bionemo.geneformer_t.perturbation.exact_effects import CONTEXTS_AT_ONCE
from bionemo.geneformer_t.perturbation.next_step import NextStep, Rows


@dataclass(frozen=True, kw_only=True)
class SustainedEffects:
    """Changes of fate probabilities, with all cells edited."""

    names: tuple[str, ...]
    """Of the fates."""
    effects: Float[ndarray, "target fate"]
    """Mean change over the chosen cells that reach a terminal state before and after; NaN where
    the edit changes no chosen cell."""
    cells: Int[ndarray, " target"]
    """Cells whose rows were replaced, of all."""


def sustained_effects(
    next_step: NextStep,
    edits: CellEdits,
    states: TerminalStates,
    chosen: Bool[ndarray, " cell"],
    on_contexts: OnCells = int,
) -> SustainedEffects:
    """Solve the chain again for each target.

    Args:
        next_step: The cells of the edits are its candidates, in the same order.
        edits: All cells, with the targets.
        states: Where each fate ends; their cells are not edited.
        chosen: The cells whose change is averaged.
        on_contexts: Told how many more edited cells are done.

    Raises:
        ValueError: No cell reaches a terminal state.
    """
    live = ~states.is_terminal
    base = _chain(next_step, edits, live)
    before = _solved(base, states)
    number = len(edits.targets)
    effects = np.full((number, len(states.names)), np.nan)
    cells = np.zeros(number, dtype=np.int64)
    for target, (rows, replaced) in enumerate(_replaced(next_step, edits, live, on_contexts)):
        cells[target] = len(rows)
        touched = np.zeros(len(chosen), dtype=bool)
        touched[rows] = chosen[rows]
        if not touched.any():
            continue
        after = _solved(_with_rows(base, rows, replaced), states)
        change = (after - before)[touched]
        change = change[np.isfinite(change).all(axis=1)]
        if len(change):
            effects[target] = change.mean(axis=0)
    return SustainedEffects(names=states.names, effects=effects, cells=cells)


def terminal_states(obs: pd.DataFrame) -> TerminalStates:
    """The terminal states that `geneformer-t fates` wrote to obs.

    Raises:
        ValueError: There are fewer than two.
    """
    column = obs[TERMINAL].astype("category")
    return TerminalStates(
        names=tuple(map(str, column.cat.categories)),
        state=column.cat.codes.to_numpy(dtype=np.int64),
        how=f"of obs[{TERMINAL!r}]",
    )


def _replaced(
    next_step: NextStep, edits: CellEdits, live: Bool[ndarray, " cell"], on_contexts: OnCells
) -> list[tuple[Int[ndarray, " row"], Rows]]:
    """For each target, the cells that it changes and their new rows."""
    cells: list[list[Int[ndarray, " _"]]] = [[] for _ in edits.targets]
    found: list[list[Rows]] = [[] for _ in edits.targets]
    for batch in edits.batches(CONTEXTS_AT_ONCE):
        kept = np.flatnonzero(live[batch.cells])
        if len(kept):
            own = batch.cells[kept]
            rows = next_step.rows(batch.contexts.take(kept), own)
            for target in np.unique(batch.targets[kept]).tolist():
                mine = batch.targets[kept] == target
                cells[target].append(own[mine])
                found[target].append(rows.take(mine))
        on_contexts(len(batch.cells))
    return [
        (np.concatenate([*one, np.zeros(0, dtype=np.int64)]), Rows.joined(rows))
        for one, rows in zip(cells, found, strict=True)
    ]


def _chain(next_step: NextStep, edits: CellEdits, live: Bool[ndarray, " cell"]) -> sp.csr_array:
    """The transition matrix of the cells as they are; who goes nowhere stays."""
    read = edits.cells.truncated(edits.genes_read)
    going = edits.order[live[edits.order] & (read.lengths[edits.order] > 0)]
    parts = np.array_split(going, max(1, -(-len(going) // CONTEXTS_AT_ONCE)))
    rows = Rows.joined([next_step.rows(read.take(part), part) for part in parts if len(part)])
    staying = sp.eye_array(len(read), format="csr")
    return _with_rows(staying, going, rows)


def _with_rows(chain: sp.csr_array, cells: Int[ndarray, " row"], rows: Rows) -> sp.csr_array:
    """The chain with the rows of some cells replaced; rows that have no probability stay."""
    has = np.isfinite(rows.probabilities).all(axis=1) if len(cells) else np.zeros(0, dtype=bool)
    cells, rows = cells[has], rows.take(has)
    kept = np.ones(chain.shape[0])
    kept[cells] = 0
    place = np.repeat(cells, rows.candidates.shape[1])
    values = (rows.probabilities.ravel(), (place, rows.candidates.ravel()))
    new = sp.csr_array(sp.diags_array(kept) @ chain + sp.csr_array(values, shape=chain.shape))
    new.eliminate_zeros()
    return new


def _solved(chain: sp.csr_array, states: TerminalStates) -> Float[ndarray, "cell fate"]:
    return fate_probabilities(chain, chain_structure(chain), states).probabilities
