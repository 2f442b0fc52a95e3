"""From cells and genes to a table of effects beside their nulls.

All targets that are asked for, and the matched genes that they are compared with, are edited in all
chosen cells; nothing is estimated. Controls, further checkpoints and baselines go through the same
cells, targets and tests.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bionemo.geneformer_t.fates.streamed_transitions import CellInput
from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.perturbation.baseline_tests import baseline_tests, first_readouts
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits
from bionemo.geneformer_t.perturbation.cell_effects import CellEffects
from bionemo.geneformer_t.perturbation.driver_columns import with_drivers
from bionemo.geneformer_t.perturbation.edits import parse_edit
from bionemo.geneformer_t.perturbation.effect_tests import EffectTests
from bionemo.geneformer_t.perturbation.estimate_table import estimate_table, with_estimates
from bionemo.geneformer_t.perturbation.perturb_run import (
    Run,
    Tested,
    how_made,
    make_run,
    num_edits,
    tested_effects,
)
from bionemo.geneformer_t.perturbation.perturb_settings import PerturbSettings
from bionemo.geneformer_t.perturbation.perturb_table import (
    effect_table,
    effects_by_cluster,
    fates_to_solve,
    notes_on,
    with_sustained,
)
from bionemo.geneformer_t.perturbation.processes import Processes
from bionemo.geneformer_t.perturbation.rank_changes import rank_changes
from bionemo.geneformer_t.perturbation.readouts import FATE, ROW
from bionemo.geneformer_t.perturbation.result import Perturbation
from bionemo.geneformer_t.perturbation.saved_sums import SavedRun
from bionemo.geneformer_t.perturbation.screen_recall import ScreenRecall
from bionemo.geneformer_t.perturbation.screen_verdict import ScreenVerdict, notes_on_tests
from bionemo.geneformer_t.perturbation.screened_effects import (
    estimated,
    require_screenable,
    sampled_recall,
    verified_effects,
    verified_run,
)
from bionemo.geneformer_t.perturbation.seed_agreement import SeedAgreement, seed_agreement
from bionemo.geneformer_t.some_names import some_names

MODEL = "model"
"""The name of the model among controls."""


def perturb(
    model: NextCellModel,
    given: CellInput,
    fates: pd.DataFrame | None,
    how: Mapping[str, Any] | None,
    settings: PerturbSettings,
    *,
    transitions: sp.sparray | None = None,
    drivers: pd.DataFrame | None = None,
    controls: Mapping[str, NextCellModel] | None = None,
    seeds: Sequence[NextCellModel] = (),
    saved: Path | None = None,
    processes: Processes = Processes(),  # noqa: B008 - frozen
    on_cells: OnCells = int,
    on_contexts: OnCells = int,
    on_plan: Callable[[int], object] = int,
) -> Perturbation:
    """Edit genes in cells, read what follows, and test it.

    Args:
        model: Trained on next cells.
        given: Cells with raw counts, and their obs.
        fates: Fate probabilities of all cells; None where there are none.
        how: How `uns` says that the transitions were made.
        settings: What is edited and read.
        transitions: The transition matrix that the fates are by, cells x cells, for baselines.
        drivers: Driver genes of the same cells, as `gft.tl.drivers` finds them.
        controls: Further models for the same cells and edits, by name.
        seeds: Models that differ from `model` by their seed alone, to see whether they agree.
        saved: What the names of files begin with in which a run keeps its sums, and from which it
            goes on if it was interrupted; `remove_saved` removes them.
        processes: Those that share the work.
        on_cells: Told how many more cells are read from the input.
        on_contexts: Told how many more edited cells are done, or cells that a screen estimates.
        on_plan: Told how many there are at most, once genes and cells are known; by a screen once
            more, before it verifies.

    Raises:
        KeyError: No such column, cluster or fate.
        ValueError: An edit or a gene cannot be understood, fates are missing, no cell is left, or
            a control or seed has another vocabulary.
    """
    if taken := {MODEL, "null", "ridge", "driver"} & set(controls or {}):
        raise ValueError(
            f"controls: {some_names(sorted(taken))} would have the columns of something else in "
            "the table; give another name"
        )
    compared = {**(controls or {}), **{f"seeds[{i}]": one for i, one in enumerate(seeds)}}
    _check_vocabularies(model, compared)
    if settings.with_cells and processes.number > 1:
        raise ValueError(
            f"with_cells keeps effects in the memory of one process; got {processes.number}. Start "
            "one, or leave with_cells out"
        )
    if settings.screen and seeds:
        raise ValueError(
            "agreement between seeds needs the effects of the same genes: leave screen out, or "
            "give no further checkpoints"
        )
    edit = parse_edit(settings.edit)
    run = make_run(model, given, fates, how, settings, edit, compared.values(), on_cells)
    if settings.num_sustained:
        fates_to_solve(run, given)  # refused before long work
    readouts = run.given.readouts if settings.screen else (*run.given.readouts, ROW)
    unfinished = SavedRun(path=saved, processes=processes)
    recall = kept = estimates = None
    if settings.screen:
        models = {MODEL: model, **(controls or {})}
        run, every, recall, estimates = _screened(run, models, unfinished, on_contexts, on_plan)
        found, others = every.pop(MODEL), every
    else:
        edits = num_edits(run, model, run.targets)
        on_plan(edits * (1 + len(controls or {}) + len(seeds)) // processes.number)
        if settings.with_cells:
            kept = CellEffects(len(run.given.cells), len(run.asked), readouts)
        found = tested_effects(
            run, model, unfinished, MODEL, on_contexts, on_effects=kept.add if kept else None
        )
        others = {
            name: tested_effects(run, control, unfinished, name, on_contexts, on_effects=None)
            for name, control in (controls or {}).items()
        }
    symbols = [run.names[target] for target in run.asked]
    agreement = _agreement(run, found, seeds, unfinished, on_contexts)
    baselines = baseline_tests(run, model, found, transitions)
    table = effect_table(run, found, others, baselines, readouts, model.required_vocab())
    table = with_drivers(table, drivers, {name: name.removeprefix(FATE) for name in readouts})
    if estimates is not None:
        table = with_estimates(table, estimates)
    if settings.num_sustained:
        table = with_sustained(table, run, found, model, given, on_contexts)
    return Perturbation(
        table=table,
        by_cluster=effects_by_cluster(run, found, readouts),
        estimates=estimates,
        found=found,
        controls=others,
        readouts=readouts,
        in_cells=kept.tables(run.given.rows, given.obs.index, symbols)
        if kept is not None and given.obs is not None
        else {},
        ranks=_ranks(run, model, symbols, on_contexts) if settings.with_ranks else None,
        num_cells=len(run.given.cells),
        num_contexts=int(found.effects.sums.counts[: len(run.asked) if recall else None].sum()),
        agreement=agreement,
        recall=recall,
        params=how_made(run, model),
        verdict=_verdict(run, found, others, baselines),
        notes=(
            *run.given.notes,
            *notes_on(run, found),
            *notes_on_tests(found.tests, settings, with_donors=settings.donor_key is not None),
        ),
    )


def _check_vocabularies(model: NextCellModel, compared: Mapping[str, NextCellModel]) -> None:
    """Refuse models to which the ids of cells that are encoded for `model` mean other genes."""
    mine = model.required_vocab().fingerprint
    for name, other in compared.items():
        if other.required_vocab().fingerprint != mine:
            raise ValueError(
                f"{name} has another vocabulary than the model; give models that were trained on "
                "the same data folder"
            )


def _screened(
    run: Run,
    models: Mapping[str, NextCellModel],
    saved: SavedRun,
    on_contexts: OnCells,
    on_plan: Callable[[int], object],
) -> tuple[Run, dict[str, Tested], ScreenRecall, pd.DataFrame]:
    """The run of the targets that are verified, their tests by all, the recall, all estimates."""
    require_screenable(run.given.readouts)
    on_plan(len(run.given.cells) * len(models) // saved.processes.number)
    estimates = {
        name: estimated(run, one, saved, name, on_contexts) for name, one in models.items()
    }
    verified = verified_run(run, estimates)
    edits = num_edits(verified, models[MODEL], verified.asked) * len(models)
    read = run.given.cells.truncated(run.genes_read).lengths
    sampled = int(np.sort(read)[-run.settings.num_sampled :].sum())
    on_plan((edits + sampled) // saved.processes.number)
    recall = sampled_recall(run, estimates[MODEL], saved, on_contexts)
    row_of = {target: row for row, target in enumerate(run.targets)}
    place = np.array([row_of[target] for target in verified.targets])
    found = {
        name: verified_effects(verified, one, place, saved, name, on_contexts)
        for name, one in estimates.items()
    }
    controls = {name: one for name, one in estimates.items() if name != MODEL}
    table = estimate_table(
        run, estimates[MODEL], controls, verified.asked, run.given.readouts,
        models[MODEL].required_vocab(),
    )  # fmt: skip
    return verified, found, recall, table


def _agreement(
    run: Run,
    found: Tested,
    seeds: Sequence[NextCellModel],
    saved: SavedRun,
    on_contexts: OnCells,
) -> SeedAgreement | None:
    """Between the effects of all models, of targets that were asked for and tested."""
    if not seeds:
        return None
    of_seeds = [
        tested_effects(run, model, saved, f"seed{i}", on_contexts, on_effects=None).tests
        for i, model in enumerate(seeds)
    ]
    tests = [found.tests, *of_seeds]
    return seed_agreement([np.where(np.isfinite(t.z), t.effect, np.nan) for t in tests])


def _verdict(
    run: Run, found: Tested, controls: Mapping[str, Tested], baselines: Mapping[str, EffectTests]
) -> ScreenVerdict:
    """On the readouts that candidates carry, or on the transition row where there are none."""
    names = run.given.readouts or (ROW,)
    of_controls = {name: control.tests for name, control in controls.items()}
    return ScreenVerdict.of(
        names,
        first_readouts(found.tests, len(names)),
        {name: first_readouts(tests, len(names)) for name, tests in of_controls.items()},
        baselines,
    )


def _ranks(
    run: Run, model: NextCellModel, symbols: Sequence[str], on_contexts: OnCells
) -> pd.DataFrame:
    """Changes of expected normalised ranks, genes x targets that were asked for."""
    vocab, num_ranks = model.required_vocab(), run.given.candidates.num_ranks
    edits = CellEdits(run.given.cells, run.asked, run.edit, genes_per_cell(model), run.elsewhere)
    changes, _ = rank_changes(model, edits, num_ranks, on_contexts)
    return pd.DataFrame(
        changes.T, index=vocab.decode(vocab.gene_ids.tolist()), columns=list(symbols)
    )
