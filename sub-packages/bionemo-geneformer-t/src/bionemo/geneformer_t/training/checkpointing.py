"""When a run is saved, so that it can be killed at any moment and still ends with the same weights.

`last.ckpt` is only written between two optimizer steps, when accumulated gradients, validation and
logged rows are complete. It contains the position of the run (`run_position`), so a resumed run
does exactly what this one would have done next. What every checkpoint holds beside its weights is
in `model/checkpoint_contents.py`.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from bionemo.geneformer_t.data.temporal_datamodule import data_state
from bionemo.geneformer_t.training.checkpoint_files import LAST, prune, remove_partial
from bionemo.geneformer_t.training.loggers import MetricsFile
from bionemo.geneformer_t.training.numerics import numerics, warn_of_other_bits
from bionemo.geneformer_t.training.resume_settings import (
    SIZES_OF_A_BATCH,
    OnResume,
    changes,
    described,
)
from bionemo.geneformer_t.training.run_position import position_of, put_position
from bionemo.geneformer_t.training.stop_signals import RunStopped, StopRequest

logger = logging.getLogger(__name__)


class BestCheckpoints(ModelCheckpoint):
    """Lightning's best checkpoints, with two changes.

    A file that is no longer among the best is kept until the next `last.ckpt` is written, and the
    folder of a run may be moved between two parts of the run.
    """

    def _remove_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        """Nothing: `RunCheckpoints` prunes after it has saved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best checkpoints, by name, in the folder where they are now."""
        folder = Path(str(self.dirpath))

        def here(path: str) -> str:
            return str(folder / Path(path).name) if path else ""

        moved: dict[str, Any] = {"dirpath": str(self.dirpath)}
        moved |= {key: here(state_dict[key]) for key in ("best_model_path", "kth_best_model_path")}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        ranked = sorted(best, key=lambda path: float(best[path]))
        if self.save_top_k >= 0:  # it may be lower than before
            ranked = ranked[: self.save_top_k]
        best = {path: score for path, score in best.items() if path in ranked}
        if ranked and len(ranked) == self.save_top_k:
            moved |= {"kth_best_model_path": ranked[-1], "kth_value": best[ranked[-1]]}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best})


class RunCheckpoints(Checkpoint):
    """Writes `last.ckpt`, and stops the run after a stop signal.

    Args:
        folder: Where it is written.
        every_n_steps: Optimizer steps between two checkpoints.
        every_minutes: Minutes between two checkpoints.
        best: The best checkpoints of the same run, where it has validation cells.
        settings: The run's, as plain values.
        may_write: Raises an error if the folder no longer belongs to this run.

    Raises:
        RunStopped: A stop signal was received, and the run is saved.
        ValueError: A checkpoint from inside an epoch does not match the batches of this run.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every_n_steps: int | None = None,
        every_minutes: float | None = None,
        best: BestCheckpoints | None = None,
        settings: Mapping[str, Any] | None = None,
        may_write: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self.settings = dict(settings or {})
        self.may_write = may_write
        self.path = folder / LAST
        self.every_n_steps = every_n_steps
        self.every_minutes = every_minutes
        self.best = best
        self.request = StopRequest()
        self._saved_steps = -1
        self._saved_at = time.monotonic()
        self._validates_first = False
        self._is_resumed = False

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the position of the run, in a form from which it resumes exactly."""
        if trainer.state.fn != "fit":
            return
        position = position_of(trainer, validates_first=self._validates_first)
        num_batches = trainer.num_training_batches
        put_position(checkpoint["loops"]["fit_loop"], position, num_batches)
        is_over = position.batch >= num_batches
        checkpoint[type(trainer.datamodule).__qualname__] = data_state(
            position.epoch + is_over, 0 if is_over else position.batch
        )
        checkpoint["callbacks"][self.state_key] = {
            "batch": position.batch,
            "batches_of": _cells_per_batch(trainer),
            "has_stopped": bool(trainer.should_stop),
            "settings": self.settings,
            "numerics": numerics(trainer),
        }

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Continue from there, if this run divides its epochs into the same batches.

        Raises:
            ValueError: It does not.
        """
        saved = checkpoint.get("callbacks", {}).get(self.state_key)
        self._is_resumed = True
        if saved is None:
            return
        now, before = _cells_per_batch(trainer), saved["batches_of"]
        if saved["batch"] and before != {name: now[name] for name in before}:
            found = changes(saved.get("settings", {}), self.settings, OnResume.BETWEEN_EPOCHS)
            sizes = {name: both for name, both in found.items() if name in SIZES_OF_A_BATCH}
            raise ValueError(
                f"the checkpoint is from inside an epoch, after {saved['batch']} batches of "
                f"{_described(before)}; this run has {_described(now)}"
                f"{f' ({described(sizes)})' if sizes else ''}. Resume with the settings and the "
                "data that the run began with; a checkpoint from the end of an epoch allows other "
                "sizes"
            )
        warn_of_other_bits(saved.get("numerics", {}), numerics(trainer))
        has_more_patience = _take_patience(trainer, checkpoint)
        if saved["has_stopped"] and not has_more_patience:
            logger.info("this run stopped early; there is nothing left to do")
            trainer.should_stop = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen for signals, in place of Lightning's own handlers."""
        self._saved_at = time.monotonic()
        self._saved_steps = trainer.global_step if self._is_resumed else 0
        if trainer.is_global_zero:
            remove_partial(self.path.parent)
        self.request.listen()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, or stop, if the previous batch ended an optimizer step."""
        if self._is_resumed:  # when it resumes, Lightning may count one step too many
            trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
            self._is_resumed = False
        if batch_idx % trainer.accumulate_grad_batches:
            return
        stop, is_time = self._asks(trainer)
        if stop or is_time:
            self._save(trainer)
        if stop:
            self._stop(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop before a validation, which may take longer than the cluster allows."""
        if trainer.state.fn != "fit":
            return
        if self._is_resumed:
            trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step - 1
        self._stop_in_validation(trainer)

    def on_validation_batch_start(self, trainer: L.Trainer, *_: Any, **__: Any) -> None:
        """Stop inside a validation; the resumed run starts it again."""
        if trainer.state.fn == "fit":
            self._stop_in_validation(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the result of the validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer, again=True)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save an epoch that did not end with a validation."""
        self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the end."""
        self._save(trainer)
        self.request.ignore()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back."""
        self.request.ignore()

    def _asks(self, trainer: L.Trainer) -> tuple[bool, bool]:
        """Whether any process was asked to stop, and whether it is time to save."""
        steps = trainer.global_step
        by_step = bool(self.every_n_steps and steps % self.every_n_steps == 0)
        minutes = (time.monotonic() - self._saved_at) / 60
        by_time = bool(self.every_minutes and minutes >= self.every_minutes)
        stop = self.request.signal is not None
        if trainer.world_size > 1:  # all processes must agree, or they would wait for each other
            by_time &= trainer.is_global_zero
            own = torch.tensor([stop, by_time], device=trainer.strategy.root_device).int()
            stop, by_time = trainer.strategy.reduce(own, reduce_op="sum").bool().tolist()
        return stop, by_time or by_step

    def _stop_in_validation(self, trainer: L.Trainer) -> None:
        stop, _ = self._asks(trainer)
        if not stop:
            return
        # After the very last step there is no next batch, before which the resumed run would
        # validate: then the previous checkpoint continues the run.
        if trainer.global_step != trainer.max_steps:
            self._validates_first = True
            self._save(trainer)
        self._stop(trainer)

    def _save(self, trainer: L.Trainer, *, again: bool = False) -> None:
        """Write `last.ckpt`, unless this step is already saved."""
        if trainer.global_step <= self._saved_steps and not again:
            return
        if self.may_write is not None:
            self.may_write()
        _flush(trainer)
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved_steps, self._saved_at = trainer.global_step, time.monotonic()
        if self.best is not None and trainer.is_global_zero:
            kept = {Path(path).name for path in self.best.best_k_models}
            prune(self.path.parent, trainer.global_step, kept)

    def _stop(self, trainer: L.Trainer) -> None:
        name = self.request.signal.name if self.request.signal else "a signal to another process"
        message = (
            f"stopped by {name} after {trainer.global_step} optimizer steps; the same command with "
            "--resume_from_checkpoint last continues from here"
        )
        if trainer.is_global_zero:
            logger.warning(message)
        raise RunStopped(message, is_first_process=trainer.is_global_zero)


def _take_patience(trainer: L.Trainer, checkpoint: dict[str, Any]) -> bool:
    """Use the patience of this run for early stopping; Lightning uses that of the checkpoint.

    Returns:
        Whether it is larger than before, so that a run that stopped early may continue.
    """
    states = checkpoint["callbacks"]
    before = [state for key, state in states.items() if key.startswith(EarlyStopping.__name__)]
    wanted = [each for each in trainer.callbacks if isinstance(each, EarlyStopping)]
    more = bool(before) and not wanted
    for each in wanted:
        state = states.get(each.state_key)
        if state is not None:
            more = each.patience > max(state["patience"], state["wait_count"])
            state["patience"] = each.patience
    return more


def _flush(trainer: L.Trainer) -> None:
    """Sync logged rows to disk before the checkpoint that follows them."""
    for each in trainer.loggers:
        if isinstance(each, MetricsFile):
            each.sync()
        elif isinstance(each, TensorBoardLogger):
            each.experiment.flush()


def _cells_per_batch(trainer: L.Trainer) -> dict[str, int]:
    """The sizes that must not change inside an epoch."""
    data = trainer.datamodule
    return {
        "cells": data.micro_batch_size * trainer.world_size,
        "ranks": trainer.world_size,
        "tokens": data.max_tokens_per_batch or 0,
        "accumulated": trainer.accumulate_grad_batches,
        "examples": len(data.train),
    }


def _described(batches: dict[str, int]) -> str:
    size = f"{batches['cells']} cells"
    if batches.get("tokens"):
        size = f"up to {batches['tokens']:,} tokens for each process"
    return f"{size} ({batches['accumulated']} in a step), of {batches['examples']:,} in all"
