"""Tables of a perturbation, and what there is to say about them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.fates.streamed_transitions import CellInput
from bionemo.geneformer_t.fates.terminal_settings import TERMINAL
from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.perturbation.baseline_tests import CORRELATION, RIDGE
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits
from bionemo.geneformer_t.perturbation.effect_tests import EffectTests
from bionemo.geneformer_t.perturbation.perturb_run import Run, Tested
from bionemo.geneformer_t.perturbation.perturb_settings import ALL
from bionemo.geneformer_t.perturbation.readouts import FATE
from bionemo.geneformer_t.perturbation.sustained_effects import sustained_effects, terminal_states
from bionemo.geneformer_t.some_names import some_names
from bionemo.geneformer_t.vocab import GeneVocab

COLUMNS = {RIDGE: "ridge_effect", CORRELATION: "correlation"}
"""Baseline -> its column in the table."""


def effect_table(
    run: Run,
    found: Tested,
    controls: Mapping[str, Tested],
    baselines: Mapping[str, EffectTests],
    readouts: Sequence[str],
    vocab: GeneVocab,
) -> pd.DataFrame:
    """One row a readout and target, the smallest p-values of each readout first."""
    asked, tests, untouched = run.asked, found.tests, found.effects.untouched
    number, first = len(asked), slice(0, len(asked))
    of_target = {
        "target": ["+".join(vocab.tokens[token] for token in target) for target in asked],
        "symbol": [run.names[target] for target in asked],
        "edit": [str(run.edit)] * number,
        "cells": found.effects.sums.cells[first],
        "cells_without": untouched.without[first],
        "cells_unchanged": untouched.unchanged[first] + untouched.emptied[first],
        "units": tests.units[first],
    }
    parts = []
    for column, readout in enumerate(readouts):
        values = {
            name: getattr(tests, name)[first, column]
            for name in ("effect", "null_mean", "null_sd", "z", "p_value", "fdr")
        }
        of_controls = {
            f"{name}_{what}": getattr(control.tests, what)[first, column]
            for name, control in controls.items()
            for what in ("effect", "z", "fdr")
        }
        of_baselines = {
            COLUMNS[name]: tests.effect[first, column]
            if column < tests.effect.shape[1]
            else np.full(number, np.nan)
            for name, tests in baselines.items()
        }
        part = pd.DataFrame(
            {"readout": readout, **of_target, **values, **of_baselines, **of_controls}
        )
        order = np.lexsort((-part["effect"].abs(), -part["z"].abs(), part["p_value"]))
        parts.append(part.iloc[order])
    table = pd.concat(parts, ignore_index=True)
    table.index = table.index.astype(str)  # as .h5ad holds it
    return table


def with_sustained(
    table: pd.DataFrame,
    run: Run,
    found: Tested,
    model: NextCellModel,
    given: CellInput,
    on_contexts: OnCells,
) -> pd.DataFrame:
    """The table with a column `sustained`, for the targets with the largest z of a fate."""
    of_fates, cells = fates_to_solve(run, given), run.given.everyone
    assert cells is not None
    assert given.obs is not None
    number = len(run.asked)
    most = np.nan_to_num(np.abs(found.tests.z[:number, of_fates])).max(axis=1)
    chosen = np.argsort(-most, kind="stable")[: run.settings.num_sustained]
    targets = [run.asked[place] for place in chosen.tolist()]
    edits = CellEdits(cells, targets, run.edit, genes_per_cell(model), run.elsewhere)
    is_mine = np.zeros(len(cells), dtype=bool)
    is_mine[run.given.rows] = True
    solved = sustained_effects(
        run.given.next_step(model), edits, terminal_states(given.obs), is_mine, on_contexts
    )
    sustained = {
        (run.names[target], FATE + name): effect
        for target, effects in zip(targets, solved.effects, strict=True)
        for name, effect in zip(solved.names, effects.tolist(), strict=True)
    }
    keys = zip(table["symbol"], table["readout"], strict=True)
    return table.assign(sustained=[sustained.get(key, np.nan) for key in keys])


def fates_to_solve(run: Run, given: CellInput) -> list[int]:
    """The places of fates among the readouts.

    Raises:
        ValueError: There is none, or no cell is said to be in a terminal state.
    """
    found = [place for place, name in enumerate(run.given.readouts) if name.startswith(FATE)]
    if given.obs is None or TERMINAL not in given.obs or not found:
        raise ValueError(
            "num_sustained needs fates and their terminal states (obsm and obs, as geneformer-t "
            "fates writes them); compute fates first, or leave num_sustained out"
        )
    return found


def effects_by_cluster(run: Run, found: Tested, readouts: Sequence[str]) -> pd.DataFrame:
    """Mean effects in each cluster; empty without clusters."""
    if run.settings.cluster_key is None:
        return pd.DataFrame(columns=["readout", "symbol", "cluster", "effect", "cells"])
    names, of_group = np.unique(run.given.groups.clusters, return_inverse=True)
    member: Int[ndarray, "group cluster"] = np.eye(len(names), dtype=np.int64)[of_group]
    sums, number = found.effects.sums, len(run.asked)
    cells = sums.counts[:number] @ member
    totals: Float[ndarray, "target cluster readout"] = np.einsum(
        "tgr,gc->tcr", sums.totals[:number], member
    )
    target, cluster = np.nonzero(cells)
    symbols = np.array([run.names[one] for one in run.asked], dtype=object)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "readout": readout,
                    "symbol": symbols[target],
                    "cluster": names[cluster],
                    "effect": (totals[..., column] / np.maximum(cells, 1))[target, cluster],
                    "cells": cells[target, cluster],
                }
            )
            for column, readout in enumerate(readouts)
        ],
        ignore_index=True,
    )


def notes_on(run: Run, found: Tested) -> Iterator[str]:
    """What was counted and could not be tested."""
    untouched, cells = found.effects.untouched, found.effects.sums.cells[: len(run.asked)]
    unread = np.flatnonzero(untouched.unchanged[: len(run.asked)] > cells)
    if len(unread) and run.settings.genes != ALL:
        names = some_names(run.names[run.asked[place]] for place in unread.tolist())
        yield (
            f"{names}: the model reads the same of most cells with and without the edit: the gene "
            f"stays where it was, or is beyond the first {run.genes_read:,} genes of a cell that "
            "are read (a model that is trained with a larger seq_length reads more)"
        )
    emptied = int(found.effects.untouched.emptied[: len(run.asked)].sum())
    if emptied:
        yield f"{emptied:,} edits would leave a cell without genes; they were not read"
    further = len(run.targets) - len(run.asked)
    if further and run.settings.screen:
        yield (
            f"a screen: {len(run.asked):,} targets were edited; the other {further:,} have "
            "estimates, which these are compared with"
        )
    elif further:
        yield f"{further:,} further genes were edited as nulls of those that were asked for"
