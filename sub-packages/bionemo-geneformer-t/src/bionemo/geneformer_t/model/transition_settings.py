"""Settings of transition matrices: those that are fitted, and all that a user can give."""

from dataclasses import dataclass
from typing import Literal

from bionemo.geneformer_t.config import EmbeddingSettings
from bionemo.geneformer_t.setting_values import (
    Settings,
    require_at_least,
    require_fraction,
    require_positive,
)

Score = Literal["pmi", "likelihood"]
KEY = "T_geneformer_t"
"""Where a transition matrix is in obsp, and how it was made in uns."""
THEMSELVES = "the cells themselves"
"""What transitions within a set of cells say of their candidates."""


@dataclass(frozen=True, kw_only=True)
class TransitionChoice(Settings):
    """Settings of a transition matrix; by default those of a model that has no fit."""

    num_ranks: int = 128
    """Ranks of a candidate that count."""
    temperature: float = 8.0
    """What scores are divided by before the softmax, in nats."""
    num_successors: int = 30
    """Candidates that keep a probability, those with the highest scores."""
    use_memory: bool = True
    """Use the kNN memory where the model has one."""
    axes_weight: float = 0.0
    """What the score along the model's canonical axes is multiplied by before it is added."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 1, "num_ranks", "num_successors")
        require_positive(self, "temperature")
        require_at_least(self, 0, "axes_weight")

    def __str__(self) -> str:
        axes = f", canonical axes with weight {self.axes_weight:.3g}" if self.axes_weight else ""
        return (
            f"temperature {self.temperature:.3g}, {self.num_successors} successors, "
            f"{self.num_ranks} ranks, {'with' if self.use_memory else 'without'} the kNN memory"
            f"{axes}"
        )


@dataclass(frozen=True, kw_only=True)
class TransitionSettings(Settings):
    """How transition probabilities are made. What is None is as the checkpoint was fitted.

    Raises:
        TypeError: A value is of another type than its field.
        ValueError: A choice is unknown or a number out of range.
    """

    num_successors: int | None = None
    """Number of candidates with a probability for each cell, those with the highest scores. By
    default as the checkpoint was fitted, or 30, or all candidates if there are fewer."""
    temperature: float | None = None
    """What scores, in nats, are divided by before the softmax: the higher, the more equal the
    probabilities. By default as the checkpoint was fitted, or 8."""
    num_ranks: int | None = None
    """Number of ranks of a candidate that count. By default as the checkpoint was fitted, or
    128."""
    use_memory: bool | None = None
    """Use the kNN memory of the checkpoint, if it has one. By default as the checkpoint was fitted,
    or true."""
    axes_weight: float | None = None
    """Weight of the score along the canonical axes of the checkpoint, if it has any, beside that of
    the network; 0 for the network alone. By default as the checkpoint was fitted, or 0."""
    score: Score = "pmi"
    """Score of a candidate: its log-probability given the cell minus the log of its mean
    probability over reference cells (`pmi`), or the log-probability alone (`likelihood`), which
    prefers typical cells."""
    time_gap: str | None = None
    """How far ahead, for a checkpoint that was trained with time_gap_key: a number in its unit, or
    with a unit of time (`"3 days"`). Scores are then those of the network alone, because memory and
    canonical axes know one step only. By default one step, of no length in particular."""
    time_key: str | None = None
    """Column of obs with time points. If given, the candidates of a cell are the cells of the next
    time point only; by default all cells are candidates."""
    time_order: tuple[str, ...] | None = None
    """Labels of the time points from early to late, if they are not numbers."""
    self_transitions: bool = False
    """Whether a cell is among its own candidates."""
    min_mapped_counts: float = EmbeddingSettings.min_mapped_counts
    """Smallest fraction of the counts that must belong to genes of the checkpoint's vocabulary."""
    candidates_at_once: int = 16_384
    """Number of candidates to score at once; smaller numbers need less memory."""
    contexts_at_once: int = 64
    """Number of cells to score candidates for at once, at most."""
    seed: int = 42
    """Random seed. It draws reference cells from the input if the checkpoint has none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(
            self, 1, "num_successors", "num_ranks", "candidates_at_once", "contexts_at_once"
        )
        require_at_least(self, 0, "axes_weight")
        require_positive(self, "temperature")
        require_fraction(self, "min_mapped_counts")
        if self.time_gap is not None and (self.axes_weight or self.use_memory):
            raise ValueError(
                f"time_gap is {self.time_gap!r}, and the memory and the canonical axes of a model "
                "know one step alone; leave use_memory and axes_weight out"
            )
        if self.axes_weight and self.score != "pmi":
            raise ValueError(
                f"axes_weight is {self.axes_weight:g}, and canonical axes are part of the score "
                f"'pmi' alone; got the score {self.score!r}. Leave axes_weight out"
            )
