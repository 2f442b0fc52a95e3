"""The same targets by simple methods, tested against the same matched genes.

Both are about the observed next cells: means of the readouts' values over the rows of the input's
transition matrix, or, where it has none, over the model's own rows. A ridge regression of these on
the ranks in cells as they are, asked about the edited cells, says what a linear model expects. The
correlation of a gene's rank with them, within clusters and strata of depth, is what is often
reported instead of an effect; here it has the sign of the edit.
"""

from dataclasses import fields, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.fates.driver_settings import DriverSettings
from bionemo.geneformer_t.fates.strata import make_strata
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.normalised_ranks import rank_table
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits
from bionemo.geneformer_t.perturbation.edits import AsIn, Move
from bionemo.geneformer_t.perturbation.effect_sums import EffectSums
from bionemo.geneformer_t.perturbation.effect_tests import EffectTests, effect_tests
from bionemo.geneformer_t.perturbation.perturb_run import Run, Tested, donor_effects
from bionemo.geneformer_t.perturbation.screen_baselines import (
    fit_ridge_readout,
    rank_correlations,
)

RIDGE, CORRELATION = "ridge", "correlation"
_CONTEXTS_AT_ONCE = 4096
_SPAN = 100.0
"""Largest effect of a linear map, in spans of the readouts, that its sums are exact for."""


def baseline_tests(
    run: Run, model: NextCellModel, found: Tested, transitions: sp.sparray | None
) -> dict[str, EffectTests]:
    """Ridge and correlation, for the readouts that candidates carry; none without such a readout.

    Args:
        run: Targets, nulls and cells.
        model: Says how many genes of a cell are read.
        found: Has the model's own readouts of the cells as they are.
        transitions: The transition matrix of the input, cells x cells; None where it has none.
    """
    base = found.effects.base
    if transitions is not None:
        rows = sp.csr_array(transitions)[run.given.rows]
        base = np.asarray(rows @ np.nan_to_num(run.given.values))
    known = np.flatnonzero(np.isfinite(base).all(axis=1))
    if not base.shape[1] or len(known) < run.settings.min_cells:
        return {}
    tests = {RIDGE: _ridge(run, model, base)}
    if not isinstance(run.edit, AsIn):
        tests[CORRELATION] = _correlation(run, model, base)
    return tests


def first_readouts(tests: EffectTests, number: int) -> EffectTests:
    """The tests of the first readouts alone."""
    columns = {
        field.name: values[:, :number]
        for field in fields(tests)
        if isinstance(values := getattr(tests, field.name), ndarray) and values.ndim == 2
    }
    return replace(tests, shapes=tests.shapes[:number], **columns)


def _ridge(run: Run, model: NextCellModel, base: Float[ndarray, "cell readout"]) -> EffectTests:
    most, vocab_size = genes_per_cell(model), len(model.required_vocab())
    cells, groups = run.given.cells, run.given.groups.of_cell
    read = cells.truncated(most)
    rng = np.random.default_rng(run.settings.seed)
    fitted = fit_ridge_readout(read, base, most, vocab_size, rng)
    before = fitted.predict(read)
    edits = CellEdits(cells, run.targets, run.edit, most, run.elsewhere)
    scale = _SPAN * (np.nanmax(base, axis=0) - np.nanmin(base, axis=0))
    sums = EffectSums.zeros(len(run.targets), int(groups.max()) + 1, scale)
    for batch in edits.batches(_CONTEXTS_AT_ONCE):
        change = fitted.predict(batch.contexts) - before[batch.cells]
        sums.add(batch.targets, groups[batch.cells], change)
    return effect_tests(
        sums.means, sums.cells, run.plan.nulls, run.settings, donors=donor_effects(run, sums)
    )


def _correlation(
    run: Run, model: NextCellModel, base: Float[ndarray, "cell readout"]
) -> EffectTests:
    """Of targets of one gene, with the sign of the edit; NaN for combinations."""
    given, vocab_size = run.given, len(model.required_vocab())
    groups = given.groups
    donors = np.array(groups.donors)[groups.of_cell]
    strata = make_strata(
        np.array(groups.clusters)[groups.of_cell],
        donors if run.settings.donor_key is not None else None,
        given.cells.lengths.astype(np.float64),
        DriverSettings.depth_bins,
    )
    table = rank_table(given.cells, int(given.cells.lengths.max()), vocab_size).tocsc()
    of_gene = rank_correlations(table, base, strata)
    more = isinstance(run.edit, Move) and run.edit.ranks > 0
    effects = np.full((len(run.targets), base.shape[1]), np.nan)
    for place, target in enumerate(run.targets):
        if len(target) == 1:
            effects[place] = of_gene[target[0]] if more else -of_gene[target[0]]
    expressed = given.expressed_by(vocab_size)
    cells = np.array([expressed[list(target)].min() for target in run.targets])
    return effect_tests(effects, cells, run.plan.nulls, run.settings)
