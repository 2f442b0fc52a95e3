"""What a perturbation reads of its input, in one pass: cells to edit, candidates, and values.

The transitions are made again as the input says that they were, except that the kNN memory is not
used; see `next_step`. Of all cells the highest ranks are kept as candidates; whole cells are kept
of those that are edited alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.fates.fate_tables import checked_fates
from bionemo.geneformer_t.fates.later_candidates import CandidateSets
from bionemo.geneformer_t.fates.passing_cells import PassingCells, reference_rows
from bionemo.geneformer_t.fates.streamed_transitions import (
    CellInput,
    candidate_sets,
    choice_of,
)
from bionemo.geneformer_t.inference.cell_reader import CellReader
from bionemo.geneformer_t.inference.embedder import OnCells
from bionemo.geneformer_t.inference.gene_symbols import symbols_of
from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_settings import TransitionSettings
from bionemo.geneformer_t.perturbation.cell_edits import canonical_order
from bionemo.geneformer_t.perturbation.chosen_cells import (
    Groups,
    chosen_rows,
    groups_of,
    numbers_of,
)
from bionemo.geneformer_t.perturbation.next_step import NextStep
from bionemo.geneformer_t.perturbation.perturb_settings import PerturbSettings
from bionemo.geneformer_t.perturbation.readouts import FATE
from bionemo.geneformer_t.ragged import Ragged, places_within
from bionemo.geneformer_t.some_names import some_names


@dataclass(frozen=True, kw_only=True)
class PerturbedInput:
    """Cells to edit, and what their next cells are measured by."""

    cells: Ragged
    """All known genes of each in rank order; none is empty. The longest come first, whatever the
    order of the input, so that this changes no number."""
    rows: Int[ndarray, " cell"]
    """Their rows in the input."""
    everyone: Ragged | None
    """All cells of the input, where fates are to be solved again."""
    groups: Groups
    readouts: tuple[str, ...]
    """Names of the columns of `values`."""
    values: Float[ndarray, "candidate readout"]
    candidates: Candidates
    sets: CandidateSets
    settings: TransitionSettings
    references: Ragged | None
    symbols: tuple[str, ...]
    """Of each token."""
    elsewhere: Ragged | None
    """The cells of the cluster that genes are to be edited as in."""
    notes: tuple[str, ...]

    def next_step(self, model: NextCellModel) -> NextStep:
        """The readouts by a model with the vocabulary of the input's."""
        return NextStep(
            model, self.candidates, self.sets, choice_of(model, self.settings), self.references,
            self.values, excludes_own=not self.settings.self_transitions,
        )  # fmt: skip

    def expressed_by(self, vocab_size: int) -> Int[ndarray, " token"]:
        """How many of the cells to edit express each token."""
        return np.bincount(self.cells.values, minlength=vocab_size)

    def mean_ranks(self, genes_read: int, vocab_size: int) -> Float[ndarray, " token"]:
        """Mean rank of each token, from 0 to 1 at the end of what is read, where it is expressed.

        NaN for tokens that no cell expresses.
        """
        ranks = np.minimum(places_within(self.cells.lengths) / genes_read, 1)
        summed = np.bincount(self.cells.values, ranks, minlength=vocab_size)
        number = self.expressed_by(vocab_size)
        return np.divide(summed, number, out=np.full(vocab_size, np.nan), where=number > 0)


def read_input(
    model: NextCellModel,
    given: CellInput,
    fates: pd.DataFrame | None,
    how: Mapping[str, Any] | None,
    settings: PerturbSettings,
    elsewhere: Bool[ndarray, " cell"] | None = None,
    compared: Iterable[NextCellModel] = (),
    on_cells: OnCells = int,
) -> PerturbedInput:
    """Read the cells of a perturbation.

    Args:
        model: Trained on next cells.
        given: All cells: those to edit are chosen from them, and all are candidates.
        fates: Fate probabilities of all cells; None where there are none.
        how: What `uns` says of the transitions that the fates were computed from; None where it
            says nothing.
        settings: Which cells are edited, and what is read.
        elsewhere: The cells of the cluster that genes are to be edited as in.
        compared: Further models that are asked about the same cells.
        on_cells: Told how many more cells are read.

    Raises:
        KeyError: There is no such column or fate.
        ValueError: The fates that are asked for are not computed yet, the transitions are another
            model's, or no cell is left.
    """
    model.require_next_cells()
    if given.obs is None:
        raise ValueError("cells to edit are chosen by obs, which an SCDL archive lacks; give .h5ad")
    transitions = transition_settings(model, how, settings)
    readouts, values = _values(given.obs, fates, settings)
    chosen = chosen_rows(given.obs, settings.cluster_key, settings.clusters)
    num_cells = given.source.shape[0]
    reader = CellReader(model, given.source, settings.min_mapped_counts)
    mine = PassingCells(np.flatnonzero(chosen))
    everyone = PassingCells(np.arange(num_cells if settings.num_sustained else 0))
    others = PassingCells(np.flatnonzero(elsewhere) if elsewhere is not None else np.array([], int))
    drawn = PassingCells(reference_rows(num_cells, transitions.seed))
    blocks = reader.blocks()
    for kept in (mine, others, drawn, everyone):
        blocks = kept.following(blocks)
    choice = choice_of(model, transitions)
    used = [one for one in (model, *compared) if choice_of(one, transitions).axes_weight]
    axes = [one.required_axes() for one in used]
    held = Candidates.of_blocks(blocks, num_cells, choice.num_ranks, reader.vocab, axes, on_cells)
    sets = candidate_sets(given, given, held, transitions)
    references = drawn.filled() if model.transitions is None else model.transitions.references
    _check_candidates(held, how, settings)
    cells, rows, notes = _left(mine.cells(), np.flatnonzero(chosen), sets)
    notes += _notes_on_values(values, fates, how, settings)
    return PerturbedInput(
        cells=cells,
        rows=rows,
        everyone=everyone.cells() if settings.num_sustained else None,
        groups=groups_of(given.obs.iloc[rows], settings.cluster_key, settings.donor_key),
        readouts=readouts,
        values=values,
        candidates=held,
        sets=sets,
        settings=transitions,
        references=None if transitions.score == "likelihood" else references,
        symbols=symbols_of(reader.vocab, reader.encoder.names, reader.encoder.token_of_column),
        elsewhere=others.cells() if elsewhere is not None else None,
        notes=(*reader.notes(), *notes),
    )


def _check_candidates(
    held: Candidates, how: Mapping[str, Any] | None, settings: PerturbSettings
) -> None:
    """Refuse a part of the cells among which the transitions were computed.

    Raises:
        ValueError: There are more or fewer cells now.
    """
    stored = None if how is None else how.get("num_candidates")
    found = held.num_with_genes
    if stored is not None and int(stored) != found:
        raise ValueError(
            f"the transitions in uns[{settings.transitions_key!r}] lead to {int(stored):,} cells, "
            f"and this input has {found:,}: effects would be on other next cells than its fates "
            "are of. Give all cells and choose those to edit by clusters (--cluster_key, "
            "--clusters), or compute transitions and fates of this input again"
        )


def _notes_on_values(
    values: Float[ndarray, "candidate readout"],
    fates: pd.DataFrame | None,
    how: Mapping[str, Any] | None,
    settings: PerturbSettings,
) -> list[str]:
    """What is missing of fates and transitions, in sentences."""
    notes = []
    if fates is None:
        notes.append(
            f"there is no obsm[{settings.fates_key!r}], so effects on fates are not read; "
            "geneformer-t fates (gft.tl.fates) computes it"
        )
    if how is None:
        notes.append(
            f"there is no uns[{settings.transitions_key!r}], so transitions are made as the "
            "checkpoint's were fitted"
        )
    missing = int(np.isnan(values).any(axis=1).sum())
    if missing:
        notes.append(
            f"{missing:,} of {len(values):,} cells have no value of a readout (NaN), as cells from "
            "which no terminal state is reached; a step to them counts as 0"
        )
    return notes


def transition_settings(
    model: NextCellModel, how: Mapping[str, Any] | None, settings: PerturbSettings
) -> TransitionSettings:
    """The settings of the input's transitions, without the memory.

    Raises:
        ValueError: They were made by another model.
    """
    if how is None:
        return TransitionSettings(use_memory=False, time_key=settings.time_key)
    params = how["params"]
    if str(how["model"]) != model_fingerprint(model):
        raise ValueError(
            f"the transitions in uns[{settings.transitions_key!r}] were made by another model than "
            "this checkpoint; make transitions and fates again with it (geneformer-t transitions, "
            "geneformer-t fates), or give the checkpoint that made them"
        )
    order = tuple(str(label) for label in params.get("time_order", ()))
    return TransitionSettings(
        num_successors=int(params["num_successors"]),
        temperature=float(params["temperature"]),
        num_ranks=int(params["num_ranks"]),
        use_memory=False,
        axes_weight=float(params.get("axes_weight", 0.0)),
        score=str(params["score"]),  # type: ignore[arg-type] # checked by the settings
        time_key=settings.time_key or str(params["time_key"]) or None,
        time_order=order or None,
        self_transitions=bool(params["self_transitions"]),
    )


def _values(
    obs: pd.DataFrame, fates: pd.DataFrame | None, settings: PerturbSettings
) -> tuple[tuple[str, ...], Float[ndarray, "candidate readout"]]:
    """Names and values of the readouts that the candidates carry."""
    columns: dict[str, Float[ndarray, " candidate"]] = {}
    if fates is None and settings.fates:
        raise ValueError(
            f"fates: obsm has no {settings.fates_key!r} yet, so that {some_names(settings.fates)} "
            "cannot be read; compute transitions and fates first (geneformer-t transitions, then "
            "geneformer-t fates; in Python gft.tl.transitions, gft.tl.fates)"
        )
    if fates is not None:
        fates = checked_fates(fates, f"obsm[{settings.fates_key!r}]")
        names = settings.fates or tuple(map(str, fates.columns))
        missing = [name for name in names if name not in fates.columns]
        if missing:
            raise KeyError(
                f"fates: there is no fate {some_names(map(repr, missing))}; the fates are: "
                f"{', '.join(map(str, fates.columns))}"
            )
        columns |= {FATE + name: fates[name].to_numpy() for name in names}
    if settings.pseudotime_key is not None:
        key = settings.pseudotime_key
        columns[key] = numbers_of(obs, key, "pseudotime_key")
    empty = [name for name, values in columns.items() if np.isnan(values).all()]
    if empty:
        raise ValueError(
            f"{some_names(empty)}: all values are missing (NaN), so that no effect on it can be "
            "read; compute fates again (geneformer-t fates), or leave it out of --fates"
        )
    table = np.empty((len(obs), len(columns)))
    for number, values in enumerate(columns.values()):
        table[:, number] = values
    return tuple(columns), table


def _left(
    cells: Ragged, rows: Int[ndarray, " chosen"], sets: CandidateSets
) -> tuple[Ragged, Int[ndarray, " cell"], list[str]]:
    """The chosen cells that have genes and candidates, their rows, and what was left out."""
    sizes = np.array([len(candidates) for candidates in sets.rows])
    has_genes, has_candidates = cells.lengths > 0, sizes[sets.set_of_cell[rows]] > 1
    notes = []
    for missing, why in (
        (~has_genes, "express no gene of the vocabulary"),
        (has_genes & ~has_candidates, "have no candidates to go to, as at the last time point"),
    ):
        if missing.any():
            notes.append(f"{int(missing.sum()):,} of {len(rows):,} cells {why}; not edited")
    kept = np.flatnonzero(has_genes & has_candidates)
    if not len(kept):
        raise ValueError(f"no cell is left to edit: {'; '.join(notes)}")
    kept = kept[canonical_order(cells.take(kept))]
    return cells.take(kept), rows[kept], notes
