"""One perturbation: targets, nulls and cells that are the same for the model and all controls."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from numpy import ndarray

from bionemo.geneformer_t import __version__
from bionemo.geneformer_t.fates.streamed_transitions import CellInput, choice_of
from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.normalised_ranks import rank_table
from bionemo.geneformer_t.obs_columns import obs_labels
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits, Target
from bionemo.geneformer_t.perturbation.chosen_cells import check_clusters
from bionemo.geneformer_t.perturbation.edits import AsIn, Edit, Move, typical_ranks
from bionemo.geneformer_t.perturbation.effect_sums import EffectSums
from bionemo.geneformer_t.perturbation.effect_tests import DonorEffects, EffectTests, effect_tests
from bionemo.geneformer_t.perturbation.exact_effects import (
    CONTEXTS_AT_ONCE,
    ExactEffects,
    OnEffects,
    exact_effects,
)
from bionemo.geneformer_t.perturbation.gene_targets import all_targets, read_names, targets_of
from bionemo.geneformer_t.perturbation.null_genes import NullPlan, plan_nulls
from bionemo.geneformer_t.perturbation.perturb_settings import ALL, PerturbSettings
from bionemo.geneformer_t.perturbation.perturbed_input import PerturbedInput, read_input
from bionemo.geneformer_t.perturbation.saved_sums import SavedRun
from bionemo.geneformer_t.ragged import Ragged


@dataclass(frozen=True, kw_only=True)
class Tested:
    """One model's effects and their tests."""

    effects: ExactEffects
    tests: EffectTests


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is the same for the model and for every control."""

    given: PerturbedInput
    edit: Edit
    plan: NullPlan
    settings: PerturbSettings
    elsewhere: Mapping[int, int] | None
    genes_read: int
    """Genes of a cell that the model reads."""
    names: Mapping[Target, str]
    """What to call the targets that were asked for."""

    @property
    def targets(self) -> list[Target]:
        """Those that were asked for, then those that are needed as nulls."""
        return self.plan.targets

    @property
    def asked(self) -> list[Target]:
        """The targets that were asked for."""
        return self.targets[: len(self.plan.nulls)]


def make_run(
    model: NextCellModel,
    given: CellInput,
    fates: pd.DataFrame | None,
    how: Mapping[str, Any] | None,
    settings: PerturbSettings,
    edit: Edit,
    compared: Iterable[NextCellModel],
    on_cells: OnCells,
) -> Run:
    """Read the input and decide on targets and nulls.

    Args, errors: as `perturb`; `compared` are its controls and seeds.
    """
    elsewhere = None if given.obs is None else _cells_elsewhere(given.obs, settings, edit)
    held = read_input(model, given, fates, how, settings, elsewhere, compared, on_cells)
    vocab, most = model.required_vocab(), genes_per_cell(model)
    read = held.cells.truncated(most)
    if isinstance(edit, Move) and abs(edit.ranks) >= int(read.lengths.max()):
        raise ValueError(
            f"edit: {edit} moves genes by {abs(edit.ranks):,} ranks, and the model reads no more "
            f"than {int(read.lengths.max()):,} genes of any of these cells; give fewer ranks"
        )
    expressed = held.expressed_by(len(vocab))
    if settings.genes == ALL:
        names = all_targets(vocab, held.symbols, np.unique(read.values).tolist())
    else:
        names = targets_of(
            read_names(settings.genes), vocab, held.symbols, expressed, len(held.cells)
        )
    plan = plan_nulls(list(names), rank_table(read, most, len(vocab)), settings)
    ranks = None
    if held.elsewhere is not None:
        every = np.unique(np.concatenate([np.array(target) for target in plan.targets]))
        ranks = typical_ranks(held.elsewhere, every, len(vocab))
    return Run(
        given=held, edit=edit, plan=plan, settings=settings, elsewhere=ranks, genes_read=most,
        names=names,
    )  # fmt: skip


def num_edits(run: Run, model: NextCellModel, targets: Sequence[Target]) -> int:
    """How many edited cells there are at most, for a progress bar."""
    read = run.given.cells.truncated(genes_per_cell(model))
    if isinstance(run.edit, AsIn):
        return len(targets) * len(read)
    expressed = np.bincount(read.values, minlength=len(model.required_vocab()))
    return int(sum(expressed[list(target)].min() for target in targets))


def tested_effects(
    run: Run,
    model: NextCellModel,
    saved: SavedRun,
    name: str,
    on_contexts: OnCells,
    *,
    on_effects: OnEffects | None,
) -> Tested:
    """The effects of all targets by one model, and the tests of those that were asked for.

    Args:
        run: Targets, nulls and cells.
        model: Whose effects.
        saved: Where sums are kept meanwhile, and the processes that share the work.
        name: Of the model, for the name of a file.
        on_contexts: Told how many more edited cells are done.
        on_effects: Given the effects in each cell, in batches; sums are not resumed then.
    """
    given, settings = run.given, run.settings
    edits = CellEdits(given.cells, run.targets, run.edit, genes_per_cell(model), run.elsewhere)
    effects = exact_effects(
        given.next_step(model), edits, given.rows, given.groups.of_cell,
        saved=saved.part(name, lambda: fingerprint(run, model)), processes=saved.processes,
        on_contexts=on_contexts, on_effects=on_effects,
    )  # fmt: skip
    sums = effects.sums
    tests = effect_tests(
        sums.means, sums.cells, run.plan.nulls, settings, donors=donor_effects(run, sums)
    )
    return Tested(effects=effects, tests=tests)


def donor_effects(run: Run, sums: EffectSums) -> DonorEffects | None:
    """Effects in each donor; None where donors are not known."""
    if run.settings.donor_key is None:
        return None
    of_group = np.unique(run.given.groups.donors, return_inverse=True)[1]
    return DonorEffects.of(sums.totals, sums.counts, of_group, run.settings)


def how_made(run: Run, model: NextCellModel) -> dict[str, Any]:
    """What `uns` says of how the effects were made."""
    settings = run.settings
    return {
        "model": model_fingerprint(model),
        "edit": str(run.edit),
        "fates_key": settings.fates_key,
        "pseudotime_key": settings.pseudotime_key or "",
        "time_key": run.given.settings.time_key or "",
        "time_order": np.array(run.given.settings.time_order or (), dtype=object),
        "cluster_key": settings.cluster_key or "",
        "clusters": np.array(settings.clusters, dtype=object),
        "donor_key": settings.donor_key or "",
        "screen": settings.screen,
        "num_cells": len(run.given.cells),
    }


def _cells_elsewhere(
    obs: pd.DataFrame, settings: PerturbSettings, edit: Edit
) -> Bool[ndarray, " cell"] | None:
    """The cells of the cluster that genes are edited as in."""
    if not isinstance(edit, AsIn):
        return None
    if settings.cluster_key is None:
        raise ValueError(f"edit: {edit} needs cluster_key, the column of obs with that cluster")
    labels = obs_labels(obs, settings.cluster_key, "cluster_key")
    check_clusters(labels, [edit.cluster], "edit", settings.cluster_key)
    found: Bool[ndarray, " cell"] = labels == edit.cluster
    return found


def fingerprint(run: Run, model: NextCellModel, *more: object) -> str:
    """Of all that the sums depend on, and of how they are computed.

    Args:
        run: Targets, edit, and all that was read of the input.
        model: Whose effects.
        more: What else the sums of one part depend on, by its text.
    """
    given, sets = run.given, run.given.sets
    meaning = (
        __version__, model.precision, CONTEXTS_AT_ONCE, run.targets, str(run.edit),
        None if run.elsewhere is None else sorted(run.elsewhere.items()), run.genes_read,
        given.settings, choice_of(model, given.settings), given.readouts,
        given.groups.donors, given.groups.clusters, more,
    )  # fmt: skip
    digest = hashlib.sha256(model_fingerprint(model).encode())
    digest.update(repr(meaning).encode())
    arrays = {
        "rows": given.rows, "groups": given.groups.of_cell,
        "places": given.candidates.places, "entries": given.candidates.entries,
        "sizes": given.candidates.num_genes, "set of cell": sets.set_of_cell,
    }  # fmt: skip
    arrays["readouts"] = given.values  # noqa: PD011 - no DataFrame
    if model.axes is not None and model.axes in given.candidates.points:
        arrays["points"] = given.candidates.points[model.axes]  # also of ranks beyond the entries
    ragged = {"cells": given.cells, "sets": Ragged.of(sets.rows), "references": given.references}
    for name, held in ragged.items():
        if held is not None:
            values = held.values  # noqa: PD011 - no DataFrame
            arrays |= {f"{name}: values": values, f"{name}: offsets": held.offsets}
    for name, array in arrays.items():
        digest.update(f"{name} {array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
