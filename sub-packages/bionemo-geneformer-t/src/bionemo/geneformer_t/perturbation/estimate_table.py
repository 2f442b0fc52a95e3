"""The estimates of a screen as a table of their own: all genes, without nulls and without tests.

An estimate (`deletion_estimates.py`) is no effect: it is what a screen chooses by. It has a column
of its own name in every table, and no z, p-value or q-value.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.perturbation.cell_edits import Target
from bionemo.geneformer_t.perturbation.perturb_run import Run
from bionemo.geneformer_t.perturbation.readouts import SCREEN_EFFECT
from bionemo.geneformer_t.perturbation.screened_effects import Estimates
from bionemo.geneformer_t.vocab import GeneVocab


def estimate_table(
    run: Run,
    model: Estimates,
    controls: Mapping[str, Estimates],
    verified: Sequence[Target],
    readouts: Sequence[str],
    vocab: GeneVocab,
) -> pd.DataFrame:
    """One row a readout and gene, the largest estimates of each readout first.

    Args:
        run: Over all genes.
        model: The estimates that genes are ranked by.
        controls: Those by controls, by name.
        verified: Targets whose effects were computed exactly.
        readouts: Names, in the order of the estimates.
        vocab: Of the model.

    Returns:
        Columns `readout`, `target`, `symbol`, `edit`, `cells` (in which the gene is read),
        `screen_effect` (mean estimate over these cells), `rank` (1 for the largest estimate of
        either sign; NaN below `min_cells` cells), `is_verified`, and `NAME_screen_effect` by each
        control.
    """
    targets, cells = run.targets, model.sums.cells
    is_ranked, chosen = cells >= run.settings.min_cells, set(verified)
    of_target = {
        "target": ["+".join(vocab.tokens[token] for token in target) for target in targets],
        "symbol": [run.names[target] for target in targets],
        "edit": str(run.edit),
        "cells": cells,
    }
    parts = []
    for column, readout in enumerate(readouts):
        means = model.sums.means[:, column]
        order, ranks = _ranked(means, is_ranked)
        part = pd.DataFrame(
            {
                "readout": readout,
                **of_target,
                SCREEN_EFFECT: means,
                "rank": ranks,
                "is_verified": [target in chosen for target in targets],
                **{
                    f"{name}_{SCREEN_EFFECT}": control.sums.means[:, column]
                    for name, control in controls.items()
                },
            }
        )
        parts.append(part.iloc[order])
    table = pd.concat(parts, ignore_index=True)
    table.index = table.index.astype(str)  # as .h5ad holds it
    return table


def with_estimates(table: pd.DataFrame, estimates: pd.DataFrame) -> pd.DataFrame:
    """A table of exact effects with the estimates that its genes were chosen by beside them."""
    keys = ["readout", "target"]
    known = estimates.set_index(keys)[SCREEN_EFFECT]
    wanted = pd.MultiIndex.from_frame(table[keys])
    return table.assign(**{SCREEN_EFFECT: known.reindex(wanted).to_numpy()})


def _ranked(
    means: Float[ndarray, " target"], is_ranked: ndarray
) -> tuple[Int[ndarray, " target"], Float[ndarray, " target"]]:
    """Rows by the size of their estimates, those without a rank at the end, and ranks from 1."""
    order = np.lexsort((-np.nan_to_num(np.abs(means), nan=-1), ~is_ranked))
    ranks = np.full(len(means), np.nan)
    ranks[order[: int(is_ranked.sum())]] = np.arange(1, int(is_ranked.sum()) + 1)
    return order, ranks
