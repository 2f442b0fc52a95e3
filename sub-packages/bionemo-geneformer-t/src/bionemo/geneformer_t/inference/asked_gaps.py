"""Time gaps as a user asks for them, in the unit that a model was trained in.

`3` is in the model's own unit; `3 days` or `72h` are converted where that is a unit of time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.model.time_gap import TrainedGaps
from bionemo.geneformer_t.neighbors.time_units import UNNAMED, time_unit

_ASKED = re.compile(r"(?P<number>\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+)[ _]*(?P<unit>[a-z _]*)")


@dataclass(frozen=True, kw_only=True)
class AskedGaps:
    """Time gaps that a model is asked for."""

    gaps: Float[ndarray, " gap"]
    """In the model's unit, in the order in which they were asked for."""
    unit: str
    is_outside: Bool[ndarray, " gap"]
    """Shorter or longer than any gap of training."""
    trained: str
    """The gaps of training, in words."""

    def notes(self) -> tuple[str, ...]:
        """What users should know of them."""
        if not self.is_outside.any():
            return ()
        outside = ", ".join(f"{gap:g}" for gap in self.gaps[self.is_outside])
        return (
            f"time gap {outside} {self.unit}: outside those of training, {self.trained}; nothing "
            "was learned about it",
        )


def asked_gaps(model: NextCellModel, asked: Sequence[str | float]) -> AskedGaps:
    """The time gaps that are asked for, in the model's unit.

    Args:
        model: Trained with time gaps.
        asked: Numbers, or text such as `3 days`.

    Raises:
        ValueError: The model was trained without gaps; a gap is no positive number, is asked for
            twice, or has a unit that the model's cannot be compared with.
    """
    trained = model.required_gaps()
    gaps = np.array([_in_unit_of(trained, value) for value in asked], dtype=np.float64)
    if len(np.unique(gaps)) < len(gaps):
        raise ValueError(f"time_gap: a gap is asked for twice: {', '.join(map(str, asked))}")
    return AskedGaps(
        gaps=gaps,
        unit=trained.unit,
        is_outside=trained.are_outside(gaps),
        trained=str(trained),
    )


def _in_unit_of(trained: TrainedGaps, asked: str | float) -> float:
    found = _ASKED.fullmatch(str(asked).strip().lower())
    number = 0.0 if found is None else float(found["number"])
    if found is None or not 0 < number < np.inf:
        raise ValueError(
            f"time_gap must be a positive number, such as 3, or with a unit, such as '3 days'; got "
            f"{asked!r}. This model was trained on gaps of {trained}"
        )
    unit = found["unit"].strip(" _")
    if unit in {"", trained.unit.lower()}:
        return number
    meant = time_unit(unit)
    if meant is None or meant.origin != UNNAMED or trained.days is None:
        raise ValueError(
            f"time_gap {asked!r}: {unit!r} cannot be compared with {trained.unit!r}, the unit of "
            f"this model, which was trained on gaps of {trained}; give a number of {trained.unit}"
        )
    return number * meant.days / trained.days
