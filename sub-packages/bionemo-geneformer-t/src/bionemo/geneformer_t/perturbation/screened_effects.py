"""A screen: all genes ranked by estimates, and the first ones verified by exact effects.

Estimates come from one backward pass for each cell and readout (`deletion_estimates.py`). The genes
with the largest estimates of any readout, by the model or by a control, are deleted exactly in all
cells; the other genes keep their estimates, and serve as matched genes. What the screen may have
missed is measured on a sample of cells in which every gene is deleted exactly. The change of the
transition row has no gradient at the cell as it is, and is not screened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits
from bionemo.geneformer_t.perturbation.deletion_estimates import deletion_estimates
from bionemo.geneformer_t.perturbation.edits import Delete
from bionemo.geneformer_t.perturbation.effect_sums import EffectSums
from bionemo.geneformer_t.perturbation.effect_tests import effect_tests
from bionemo.geneformer_t.perturbation.exact_effects import (
    ExactEffects,
    exact_effects,
    readout_spans,
)
from bionemo.geneformer_t.perturbation.next_step import NextStep
from bionemo.geneformer_t.perturbation.null_genes import NONE, NullPlan
from bionemo.geneformer_t.perturbation.perturb_run import Run, Tested, donor_effects, fingerprint
from bionemo.geneformer_t.perturbation.processes import Processes
from bionemo.geneformer_t.perturbation.saved_sums import SavedRun, SavedSums
from bionemo.geneformer_t.perturbation.screen_recall import ScreenRecall, screen_recall
from bionemo.geneformer_t.ragged import Ragged

_LEAST_SAMPLED = 5
"""Sampled cells that must hold a gene, for its effects to be compared."""


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """Estimated effects of deleting every gene, by one model."""

    sums: EffectSums
    """By target of the run, group and readout."""
    next_step: NextStep


def require_screenable(readouts: tuple[str, ...]) -> None:
    """Refuse readouts without estimates.

    Raises:
        ValueError: There is no other; says what to do.
    """
    if not readouts:
        raise ValueError(
            "a screen needs a readout with a gradient: fates, or a pseudotime_key; the change of "
            "the transition row has none. Compute fates first, or leave screen out"
        )


def estimated(
    run: Run, model: NextCellModel, saved: SavedRun, name: str, on_cells: OnCells = int
) -> Estimates:
    """Estimate the effect of every target of a run over all genes.

    Args:
        run: Over all genes.
        model: By which.
        saved: Where sums are kept meanwhile, and the processes that share the work.
        name: Of the model, for the name of a file.
        on_cells: Told how many more cells are done.
    """
    given, next_step = run.given, run.given.next_step(model)
    part = saved.part(f"estimates-{name}", lambda: fingerprint(run, model, "estimates"))
    sums = _estimated_sums(
        run, next_step, given.cells, given.rows, given.groups.of_cell, part, saved.processes,
        on_cells,
    )  # fmt: skip
    return Estimates(sums=sums, next_step=next_step)


def _estimated_sums(
    run: Run,
    next_step: NextStep,
    cells: Ragged,
    own: Int[ndarray, " cell"],
    groups: Int[ndarray, " cell"],
    part: SavedSums | None,
    processes: Processes,
    on_cells: OnCells = int,
) -> EffectSums:
    """Estimates of all targets of a run, summed over some cells."""
    row_of = np.full(len(next_step.model.required_vocab()), NONE)
    row_of[[target[0] for target in run.targets]] = np.arange(len(run.targets))
    number = int(groups.max(initial=0)) + 1
    sums = EffectSums.zeros(len(run.targets), number, readout_spans(next_step.values))
    done = part.resume(sums) if part is not None else 0
    for cell in range(processes.rank, len(cells), processes.number):
        if cell < done:
            on_cells(1)
            continue
        genes, effects = estimates_in(next_step, cells.take(np.array([cell])), int(own[cell]))
        known = np.isfinite(effects).all(axis=1)
        targets = row_of[genes[known]]
        sums.add(targets, np.full(len(targets), groups[cell]), effects[known].astype(np.float64))
        if part is not None:
            part.save(sums, cell + 1)
        on_cells(1)
    if part is not None:
        part.finish(sums, len(cells))
    processes.add_up(sums.sums, sums.counts)
    return sums


def estimates_in(
    next_step: NextStep, cell: Ragged, own: int
) -> tuple[Int[ndarray, " gene"], Float[ndarray, "gene readout"]]:
    """The genes that are read of one cell, and the estimated effects of deleting each."""
    found = deletion_estimates(
        next_step.model,
        cell,
        next_step.scorer.candidates.num_ranks,
        lambda log_probs, points: next_step.differentiable(
            log_probs, points, np.full(len(log_probs), own)
        ),
    )
    return found.genes.row(0), found.effects


def verified_run(run: Run, estimates: Mapping[str, Estimates]) -> Run:
    """The same run, with the targets to verify as those that are asked for, and all others behind.

    Args:
        run: Over all genes.
        estimates: By the model and by all controls: the first ones of each are verified.
    """
    settings = run.settings
    chosen: set[int] = set()
    for one in estimates.values():
        size = np.abs(one.sums.means)
        size[one.sums.cells < settings.min_cells] = -1
        size = np.nan_to_num(size, nan=-1)
        for column in size.T:
            first = np.argsort(-column, kind="stable")[: settings.num_verified]
            chosen |= set(first[column[first] >= 0].tolist())
    kept = sorted(chosen)
    order = np.array([*kept, *sorted(set(range(len(run.targets))) - chosen)], dtype=np.int64)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    nulls = run.plan.nulls[kept]
    plan = NullPlan(
        targets=[run.plan.targets[row] for row in order.tolist()],
        nulls=np.where(nulls == NONE, NONE, place[nulls]),
    )
    return replace(run, plan=plan)


def verified_effects(
    run: Run,
    estimates: Estimates,
    place: Int[ndarray, " target"],
    saved: SavedRun,
    name: str,
    on_contexts: OnCells,
) -> Tested:
    """Exact effects of the targets to verify, tested beside the estimates of all others.

    Args:
        run: Of `verified_run`.
        estimates: By the model to verify.
        place: The row of each of the run's targets among the estimates.
        saved: Where sums are kept meanwhile, and the processes that share the work.
        name: Of the model, for the name of a file.
        on_contexts: Told how many more edited cells are done.
    """
    given, settings, number = run.given, run.settings, len(run.asked)
    model = estimates.next_step.model
    edits = CellEdits(given.cells, run.asked, run.edit, genes_per_cell(model))
    exact = exact_effects(
        estimates.next_step, edits, given.rows, given.groups.of_cell,
        saved=saved.part(f"verified-{name}", lambda: fingerprint(run, model, "verified")),
        processes=saved.processes, on_contexts=on_contexts,
    )  # fmt: skip
    sums = replace(
        estimates.sums, sums=estimates.sums.sums[place], counts=estimates.sums.counts[place]
    )
    sums.sums[:number], sums.counts[:number] = exact.sums.sums[..., :-1], exact.sums.counts
    tests = effect_tests(
        sums.means, sums.cells, run.plan.nulls, settings, donors=donor_effects(run, sums),
        num_tests=max(number, int((sums.cells >= settings.min_cells).sum())),
    )  # fmt: skip
    effects = ExactEffects(sums=sums, untouched=exact.untouched, base=exact.base)
    return Tested(effects=effects, tests=tests)


def sampled_recall(
    run: Run, estimates: Estimates, saved: SavedRun, on_contexts: OnCells = int
) -> ScreenRecall:
    """How much of an exhaustive search the screen finds, on a sample of cells.

    Args:
        run: Over all genes.
        estimates: By the model.
        saved: Where sums are kept meanwhile, and the processes that share the work.
        on_contexts: Told how many more edited cells are done.
    """
    given, settings, next_step = run.given, run.settings, estimates.next_step
    rng = np.random.default_rng(settings.seed)
    rows = np.sort(rng.permutation(len(given.cells))[: settings.num_sampled])
    sample, own = given.cells.take(rows), given.rows[rows]
    edits = CellEdits(sample, run.targets, Delete(), genes_per_cell(next_step.model))
    together = np.zeros(len(rows), dtype=np.int64)
    part = saved.part(
        "recall",
        lambda: fingerprint(run, next_step.model, "recall", settings.seed, settings.num_sampled),
    )
    exact = exact_effects(
        next_step, edits, own, together, saved=part, processes=saved.processes,
        on_contexts=on_contexts,
    )  # fmt: skip
    sums = _estimated_sums(run, next_step, sample, own, together, None, saved.processes)
    compared = (exact.sums.cells >= _LEAST_SAMPLED) & (sums.cells >= _LEAST_SAMPLED)
    by_screen, by_search = (
        np.where(compared[:, None], means, np.nan)
        for means in (sums.means, exact.sums.means[:, :-1])
    )
    return screen_recall(by_screen, by_search, settings.num_verified)
