"""What a user should know of transitions, in sentences."""

from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.transition_settings import TransitionChoice, TransitionSettings
from bionemo.geneformer_t.ragged import Ragged

_FITTED_TOGETHER = ("num_ranks", "use_memory", "axes_weight")
"""Settings for which a temperature is fitted."""


def notes_on_fit(
    model: NextCellModel,
    choice: TransitionChoice,
    settings: TransitionSettings,
    references: Ragged | None,
) -> list[str]:
    """Whether the settings that are used were fitted to the model.

    Args:
        model: With fitted transitions or without.
        choice: What is used.
        settings: What was asked for.
        references: Contexts that scores are relative to; None without any.
    """
    if model.transitions is not None:
        fitted = model.transitions.choice
        given = {name: getattr(settings, name) for name in _FITTED_TOGETHER}
        if model.axes is None:
            given["axes_weight"] = choice.axes_weight  # of none, whatever the fit had
        other = [name for name, v in given.items() if v not in {None, getattr(fitted, name)}]
        other += ["score"] * (settings.score != "pmi")
        if not other or settings.temperature is not None:
            return []
        return [
            f"the temperature, {choice.temperature:.3g} nats, was fitted with another "
            f"{' and '.join(other)}; give temperature too"
        ]
    relative = (
        "" if references is None else f", scores relative to {len(references)} of these cells"
    )
    return [
        f"no transitions were fitted to this checkpoint; used: {choice}{relative}. `geneformer-t "
        "transitions --data_dir DIR` fits them on the validation cells of a data folder"
    ]


def nowhere_to_go(num_cells: int, settings: TransitionSettings) -> str:
    """Why none of the cells has a candidate, and what to do."""
    if settings.time_key is not None:
        why = (
            f"no candidate is of a later time in obs[{settings.time_key!r}]. Give candidates of "
            "later times, or leave time_key out"
        )
    else:
        why = "there is no other cell that expresses known genes. Give more cells, or candidates"
    return f"none of the {num_cells:,} cells has a candidate to go to: {why}"


def notes_on_rows(
    num_empty: int, num_left: int, num_cells: int, settings: TransitionSettings, *, is_square: bool
) -> list[str]:
    """How many cells go nowhere, and what their rows are.

    Args:
        num_empty: Cells without known genes.
        num_left: Further cells without candidates.
        num_cells: Of all.
        settings: What was asked for.
        is_square: Whether the candidates are the cells themselves.
    """
    ending = (
        "they stay where they are with probability 1 (absorbing)"
        if is_square
        else "their rows are empty"
    )
    notes = []
    if num_empty:
        notes.append(
            f"{num_empty:,} of {num_cells:,} cells express no gene of the model's vocabulary; "
            f"{ending}"
        )
    if num_left:
        last = ", as those of the last time point" if settings.time_key is not None else ""
        notes.append(
            f"{num_left:,} of {num_cells:,} cells have no candidate to go to{last}; {ending}"
        )
    return notes
