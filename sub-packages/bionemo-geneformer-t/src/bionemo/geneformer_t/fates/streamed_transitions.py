"""Transition probabilities of all cells of a source, whatever its size: read, scored, kept sparse.

The cells are read twice, block by block: once as candidates, of which the highest ranks stay in
memory, and once as contexts. Of the scores, those of a block of contexts and a block of candidates
exist at a time; the result grows with the edges that are kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.counts.source import CountSource
from bionemo.geneformer_t.fates.candidate_scores import (
    CandidateScorer,
    HighestScores,
    axes_to_score,
    fitted_choice,
    ranks_to_score,
)
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.fates.later_candidates import (
    CandidateSets,
    all_candidates,
    next_time_candidates,
)
from bionemo.geneformer_t.fates.passing_cells import PassingCells, reference_rows
from bionemo.geneformer_t.fates.transition_matrix import transition_matrix, with_self_loops
from bionemo.geneformer_t.fates.transition_notes import notes_on_fit, notes_on_rows, nowhere_to_go
from bionemo.geneformer_t.inference.asked_gaps import asked_gaps
from bionemo.geneformer_t.inference.cell_marks import CellMarks
from bionemo.geneformer_t.inference.cell_reader import CellReader
from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_settings import (
    THEMSELVES,
    TransitionChoice,
    TransitionSettings,
)
from bionemo.geneformer_t.ragged import Ragged

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class CellInput:
    """Cells to read, in whole rows."""

    source: CountSource
    obs: "pd.DataFrame | None" = None
    """None where an input has none."""


@dataclass(frozen=True, kw_only=True)
class Transitions:
    """A transition matrix, and how it was made."""

    matrix: sp.csr_matrix
    """Cells x candidates, float64."""
    is_square: bool
    """Whether the candidates are the cells themselves."""
    how: Mapping[str, Any]
    """Parameters and counts, in values that an .h5ad can hold."""
    notes: tuple[str, ...]
    """What a user should know, in sentences."""


def streamed_transitions(
    model: NextCellModel,
    cells: CellInput,
    candidates: CellInput | None = None,
    settings: TransitionSettings = TransitionSettings(),  # noqa: B008 - frozen
    on_cells: OnCells = int,
) -> Transitions:
    """Probabilities that each cell goes to each of its candidates.

    Cells that express no gene of the vocabulary, and those without candidates, as at the last time
    point, stay where they are with probability 1 if the candidates are the cells themselves;
    otherwise their rows are empty. Both are counted.

    Args:
        model: Trained on next cells.
        cells: Current cells, the rows of the matrix.
        candidates: What they may go to, the columns; by default the cells themselves.
        settings: How scores become probabilities.
        on_cells: Told how many more cells are read as candidates, and scored as contexts.

    Raises:
        KeyError: `obs` has no such column of times.
        ValueError: The model was not trained on next cells, or has no canonical axes and a weight
            is given for them; values are no raw counts; genes are not the model's; there is no
            candidate, or fewer than `num_successors` that was given.
    """
    model.require_next_cells()
    if settings.axes_weight:
        model.required_axes()
    asked = None if settings.time_gap is None else asked_gaps(model, [settings.time_gap])
    choice, is_square = choice_of(model, settings), candidates is None
    to = candidates or cells
    drawn = PassingCells(reference_rows(cells.source.shape[0], settings.seed))
    reader = CellReader(model, to.source, settings.min_mapped_counts)
    blocks = drawn.following(reader.blocks()) if is_square else reader.blocks()
    number = to.source.shape[0]
    axes = axes_to_score(model, choice.axes_weight)
    held = Candidates.of_blocks(blocks, number, choice.num_ranks, reader.vocab, axes, on_cells)
    sets = candidate_sets(cells, to, held, settings)
    kept_number = _number_to_keep(sets, settings, choice, is_square=is_square)
    if model.transitions is None and not is_square and settings.score == "pmi":
        drawn.read(CellReader(model, cells.source, settings.min_mapped_counts).blocks())
    references = _references(model, settings, drawn)
    scorer = CandidateScorer(
        model, held, references, use_memory=choice.use_memory, axes_weight=choice.axes_weight,
        time_gap=None if asked is None else float(asked.gaps[0]),
        candidates_at_once=settings.candidates_at_once, contexts_at_once=settings.contexts_at_once,
    )  # fmt: skip
    contexts = CellReader(model, cells.source, settings.min_mapped_counts)
    excludes = is_square and not settings.self_transitions
    marks = CellMarks(model.training_cells, cells.obs)
    read = marks.following(contexts.blocks())
    kept = _highest(scorer, read, sets, kept_number, on_cells, excludes=excludes)
    matrix = transition_matrix(kept, number, choice.temperature)
    is_left = np.diff(matrix.indptr) == 0
    if is_left.all():
        raise ValueError(nowhere_to_go(len(is_left), settings))
    num_empty, num_left = contexts.num_empty, int(is_left.sum()) - contexts.num_empty
    notes = [] if is_square else reader.notes()
    notes += [*contexts.notes(), *notes_on_fit(model, choice, settings, references)]
    notes += marks.notes(has_columns=False) if model.training_cells is not None else []
    notes += () if asked is None else asked.notes()
    notes += notes_on_rows(num_empty, num_left, len(is_left), settings, is_square=is_square)
    how = {
        "params": {
            **asdict(choice),
            "num_successors": kept_number,
            "score": settings.score,
            "precision": model.precision,
            "time_key": settings.time_key or "",
            "time_order": list(settings.time_order or ()),
            "candidates": THEMSELVES if is_square else to.source.where,
            "self_transitions": settings.self_transitions,
            **({} if asked is None else {"time_gap": float(asked.gaps[0]), "unit": asked.unit}),
            "num_references": 0 if references is None else len(references),
        },
        "fitted": str(model.transitions or "no"),
        "num_candidates": held.num_with_genes,
        "num_empty_cells": num_empty,
        "num_cells_without_candidates": num_left,
        "model": model_fingerprint(model),
    }
    return Transitions(
        matrix=with_self_loops(matrix, is_left) if is_square else matrix,
        is_square=is_square,
        how=how,
        notes=tuple(notes),
    )


def choice_of(model: NextCellModel, settings: TransitionSettings) -> TransitionChoice:
    """The settings where they are given, else those fitted to the model, else the defaults."""
    fitted = fitted_choice(model)
    given = {field.name: getattr(settings, field.name) for field in fields(TransitionChoice)}
    chosen = replace(fitted, **{name: v for name, v in given.items() if v is not None})
    one_step = settings.time_gap is None
    uses_axes = model.axes is not None and settings.score == "pmi" and one_step
    return replace(
        chosen,
        num_ranks=ranks_to_score(model, settings.num_ranks, fitted.num_ranks),
        use_memory=chosen.use_memory and model.memory is not None and one_step,
        axes_weight=chosen.axes_weight if uses_axes else 0.0,
    )


def _references(
    model: NextCellModel, settings: TransitionSettings, drawn: PassingCells
) -> Ragged | None:
    """The contexts that scores are relative to: training cells, or else some of the cells read."""
    if settings.score == "likelihood":
        return None
    return drawn.filled() if model.transitions is None else model.transitions.references


def candidate_sets(
    cells: CellInput, to: CellInput, held: Candidates, settings: TransitionSettings
) -> CandidateSets:
    """Candidates that express genes, as far as each cell may choose them.

    Raises:
        KeyError: `obs` has no such column of times.
        ValueError: No candidate expresses a gene of the vocabulary.
    """
    if settings.time_key is None:
        sets = all_candidates(cells.source.shape[0], len(held))
    else:
        sets = next_time_candidates(cells.obs, to.obs, settings.time_key, settings.time_order)
    filled = replace(sets, rows=[rows[held.num_genes[rows] > 0] for rows in sets.rows])
    if not any(len(rows) for rows in filled.rows):
        raise ValueError(
            f"{to.source.where} holds {len(held):,} cells, and none of them expresses a gene of "
            "the model's vocabulary and may be a candidate; give cells of the same species, with "
            "raw counts"
        )
    return filled


def _number_to_keep(
    sets: CandidateSets, settings: TransitionSettings, choice: TransitionChoice, *, is_square: bool
) -> int:
    """As many as were chosen, or as there are where nobody asked for a number.

    Raises:
        ValueError: There are fewer than the user asked for.
    """
    among_own = is_square and settings.time_key is None and not settings.self_transitions
    used = np.unique(sets.set_of_cell)
    sizes = {sets.names[i]: len(sets.rows[i]) - among_own for i in used.tolist()}
    sizes = {name: size for name, size in sizes.items() if size > 0}
    asked = settings.num_successors
    if asked is not None and sizes and min(sizes.values()) < asked:
        name = min(sizes, key=sizes.__getitem__)
        raise ValueError(
            f"num_successors is {asked}, and there are only {sizes[name]} candidates {name} for a "
            "cell to go to; lower it, or leave it out"
        )
    return min(choice.num_successors, max(sizes.values(), default=1))


def _highest(
    scorer: CandidateScorer,
    blocks: Iterable[Ragged],
    sets: CandidateSets,
    number: int,
    on_cells: OnCells,
    *,
    excludes: bool,
) -> HighestScores:
    num_cells = len(sets.set_of_cell)
    where = np.full((num_cells, number), -1, dtype=np.int32)
    scores = np.full((num_cells, number), -np.inf)
    first = 0
    for block in blocks:
        filled = np.flatnonzero(block.lengths)
        set_of = sets.set_of_cell[first + filled]
        done = 0
        for name in np.unique(set_of).tolist():
            mine, rows = filled[set_of == name], sets.rows[name]
            if not len(rows):
                continue
            found = scorer.highest(
                block.take(mine), rows, number, first + mine if excludes else None, on_cells
            )
            where[first + mine], scores[first + mine] = found.candidates, found.scores
            done += len(mine)
        on_cells(len(block) - done)
        first += len(block)
    return HighestScores(candidates=where, scores=scores)
