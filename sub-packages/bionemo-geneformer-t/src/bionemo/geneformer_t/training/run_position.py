"""The position of a run, written into Lightning's progress counters so that it resumes exactly.

Lightning's own counters depend on the hook in which a checkpoint is written, and from some hooks a
resumed run skips a validation, repeats it or counts a step twice. So in every hook, the counters
are written in the form that they have between two batches, from these few facts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import lightning as L

_COUNTS = ("ready", "started", "processed", "completed")


@dataclass(frozen=True, kw_only=True)
class RunPosition:
    """The next thing that a run does."""

    epoch: int
    """The epoch it is in, from 0."""
    batch: int
    """The micro-batch of the epoch that comes next, from 0."""
    steps: int
    """Optimizer steps so far."""
    validates_first: bool = False
    """Whether the validation that is due before that batch has not been completed."""


def position_of(trainer: "L.Trainer", *, validates_first: bool = False) -> RunPosition:
    """The position of a trainer that is between two optimizer steps.

    Args:
        trainer: At the start of a batch, at either end of a validation, or at the end of an epoch
            or of the run.
        validates_first: Whether a validation is due that has not been completed.
    """
    epoch = trainer.fit_loop.epoch_progress.current.ready - 1
    batch = trainer.fit_loop.epoch_loop.batch_progress.current.processed
    if batch >= trainer.num_training_batches and not validates_first:
        epoch, batch = epoch + 1, 0
    return RunPosition(
        epoch=epoch, batch=batch, steps=trainer.global_step, validates_first=validates_first
    )


def put_position(fit_loop: dict[str, Any], position: RunPosition, num_batches: int | float) -> None:
    """Write a position into the state of Lightning's fit loop, as checkpoints hold it.

    Args:
        fit_loop: `checkpoint["loops"]["fit_loop"]`.
        position: The next thing to do.
        num_batches: Micro-batches in an epoch.
    """
    is_inside = position.batch > 0
    epochs = dict.fromkeys(_COUNTS, position.epoch)
    if is_inside:
        epochs |= {"ready": position.epoch + 1, "started": position.epoch + 1}
    fit_loop["epoch_progress"] = {"total": dict(epochs), "current": dict(epochs)}
    batches = fit_loop["epoch_loop.batch_progress"]
    batches["total"] = dict.fromkeys(_COUNTS, batches["total"]["processed"])
    batches["current"] = dict.fromkeys(_COUNTS, position.batch)
    batches["is_last_batch"] = position.batch >= num_batches
    if position.validates_first:
        done = dict.fromkeys(_COUNTS, 0)
        begun = {**done, "ready": 1, "started": 1}  # what Lightning takes for an unfinished one
        fit_loop["epoch_loop.val_loop.batch_progress"] = {
            "total": begun,
            "current": done,
            "is_last_batch": False,
        }
