"""Saved sums are gone on with where all is the same, and where anything differs they are not."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.fates.later_candidates import CandidateSets, all_candidates
from bionemo.geneformer_t.model.transition_settings import TransitionSettings
from bionemo.geneformer_t.perturbation import perturb_run
from bionemo.geneformer_t.perturbation.chosen_cells import Groups
from bionemo.geneformer_t.perturbation.edits import AsIn
from bionemo.geneformer_t.perturbation.null_genes import NullPlan
from bionemo.geneformer_t.perturbation.perturb_run import Run, fingerprint
from bionemo.geneformer_t.perturbation.perturb_settings import PerturbSettings
from bionemo.geneformer_t.perturbation.perturbed_input import PerturbedInput
from bionemo.geneformer_t.ragged import Ragged


@pytest.fixture
def run(edited_cells) -> Run:
    """Two genes as in another cluster, in cells that are each other's candidates."""
    cells, number = edited_cells.cells, len(edited_cells.cells)
    axes = [edited_cells.model.axes] if edited_cells.model.axes else []
    first, second = edited_cells.model.required_vocab().gene_ids[:2].tolist()
    given = PerturbedInput(
        cells=cells,
        rows=np.arange(number),
        everyone=None,
        groups=Groups(of_cell=np.zeros(number, dtype=int), donors=("",), clusters=("",)),
        readouts=("fate A", "fate B", "fate C"),
        values=edited_cells.fates,
        candidates=Candidates.of(cells, 12, edited_cells.model.required_vocab(), axes),
        sets=all_candidates(number, number),
        settings=TransitionSettings(use_memory=False),
        references=edited_cells.references,
        symbols=(),
        elsewhere=None,
        notes=(),
    )
    return Run(
        given=given,
        edit=AsIn("left"),
        plan=NullPlan(targets=[(first,), (second,)], nulls=np.zeros((2, 0), dtype=int)),
        settings=PerturbSettings(),
        elsewhere={first: 3, second: 5},
        genes_read=23,
        names={},
    )


def test_the_same_run_has_the_same_fingerprint(run, edited_cells) -> None:
    again, model = deepcopy((run, edited_cells.model))
    turned = replace(again, elsewhere=dict(reversed(run.elsewhere.items())))
    assert fingerprint(turned, model) == fingerprint(run, edited_cells.model)


def with_sets(run: Run, sets: CandidateSets) -> Run:
    return replace(run, given=replace(run.given, sets=sets))


def other_ranks(run: Run) -> Run:
    """The cluster that genes are edited as in has changed."""
    return replace(run, elsewhere={gene: rank + 1 for gene, rank in run.elsewhere.items()})


def other_candidates(run: Run) -> Run:
    """Another time of the same cells: one is no candidate any more."""
    sets = run.given.sets
    return with_sets(run, replace(sets, rows=[sets.rows[0][1:]]))


def other_sets(run: Run) -> Run:
    """The same sets, and one cell goes to another of them."""
    sets = run.given.sets
    two = replace(sets, rows=[sets.rows[0][:4], sets.rows[0][4:]], names=["of time 1", "of time 2"])
    return with_sets(run, two)


def other_cells_of_sets(run: Run) -> Run:
    two = other_sets(run)
    of_cell = two.given.sets.set_of_cell.copy()
    of_cell[0] = 1
    return with_sets(two, replace(two.given.sets, set_of_cell=of_cell))


def other_references(run: Run) -> Run:
    """As by another sample of the same cells."""
    references = Ragged.of([row[::-1] for row in run.given.references.rows()])
    return replace(run, given=replace(run.given, references=references))


def no_references(run: Run) -> Run:
    return replace(run, given=replace(run.given, references=None))


def other_points(run: Run) -> Run:
    """Candidates with other genes beyond the ranks that are scored."""
    held = run.given.candidates
    moved = {axes: points + 1 for axes, points in held.points.items()}
    return replace(run, given=replace(run.given, candidates=replace(held, points=moved)))


def test_whatever_the_sums_depend_on_changes_the_fingerprint(run, edited_cells, monkeypatch):
    changes = (
        other_ranks, other_candidates, other_sets, other_cells_of_sets, other_references,
        no_references,
    )  # fmt: skip
    model = edited_cells.model
    if model.axes is not None:
        changes = (*changes, other_points)
    made = {"as it is": fingerprint(run, model), "part": fingerprint(run, model, "verified")}
    made |= {change.__name__: fingerprint(change(run), model) for change in changes}
    made["target_order"] = fingerprint(
        replace(run, plan=replace(run.plan, targets=run.targets[::-1])), model
    )
    with monkeypatch.context() as patch:
        patch.setattr(model, "precision", "bf16-mixed")
        made["precision"] = fingerprint(run, model)
    with monkeypatch.context() as patch:
        patch.setattr(perturb_run, "CONTEXTS_AT_ONCE", 16)
        made["batches"] = fingerprint(run, model)
    monkeypatch.setattr(perturb_run, "__version__", "another")
    made["version"] = fingerprint(run, model)
    same = [name for name, one in made.items() if list(made.values()).count(one) > 1]
    assert not same
