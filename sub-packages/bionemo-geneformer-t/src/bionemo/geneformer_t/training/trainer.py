"""The Lightning trainer of a run, and advice if this computer cannot run it."""

import logging
import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import Logger

from bionemo.geneformer_t.model.products import advise_on_bfloat16
from bionemo.geneformer_t.progress import can_draw_bars
from bionemo.geneformer_t.training.checkpoint_files import SafeCheckpointIO
from bionemo.geneformer_t.training.checkpointing import BestCheckpoints, RunCheckpoints
from bionemo.geneformer_t.training.loggers import CONTRASTIVE, MetricsFile, ProgressLines, WandbLog
from bionemo.geneformer_t.training.run_files import CHECKPOINTS, METRICS_FILE
from bionemo.geneformer_t.training.run_folder import RunRecord
from bionemo.geneformer_t.training.run_lock import RunLock
from bionemo.geneformer_t.training.settings import TrainSettings

logger = logging.getLogger(__name__)

_GUARD = 'if __name__ == "__main__":'


def make_trainer(
    settings: TrainSettings,
    *,
    has_val: bool,
    purge_step: int | None = None,
    lock: RunLock | None = None,
) -> L.Trainer:
    """The Lightning trainer of a run.

    Args:
        settings: The run's.
        has_val: Whether there are cells to validate on.
        purge_step: The first step of a resumed run; what was logged from there on is logged again.
        lock: That of the output folder.

    Raises:
        ValueError: `global_batch_size` does not divide evenly, or Lightning knows no such
            accelerator, devices, strategy or precision here.
        ModuleNotFoundError: `use_wandb` is set, and wandb is not installed.
    """
    has_bars = can_draw_bars(sys.stderr)
    loggers = _loggers(settings, purge_step)
    callbacks = [RunRecord(settings, loggers, steps=purge_step or 0)]
    if not has_bars:
        callbacks.append(ProgressLines())
    elif not sys.stderr.isatty():  # Lightning's bar of rich asks a notebook for ipywidgets
        callbacks.append(TQDMProgressBar(leave=False))
    callbacks += _callbacks(settings, has_val=has_val, lock=lock)
    with hardware_advice(settings):
        trainer = L.Trainer(
            default_root_dir=settings.output_dir,
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy=settings.strategy,
            precision=settings.precision,
            max_epochs=settings.num_epochs,
            max_steps=settings.max_steps,
            gradient_clip_val=settings.gradient_clip_val,
            limit_train_batches=settings.limit_train_batches,
            limit_val_batches=settings.limit_val_batches if has_val else 0,
            log_every_n_steps=settings.log_every_n_steps,
            num_sanity_val_steps=0,
            logger=False,  # `RunRecord` adds them when the first batch is about to be trained on
            plugins=[SafeCheckpointIO()],
            callbacks=callbacks,
            enable_progress_bar=has_bars,
            enable_model_summary=False,
        )
    trainer.accumulate_grad_batches = settings.accumulation(trainer.world_size)
    advise_on_bfloat16(settings.precision, trainer.strategy.root_device)
    return trainer


def _loggers(settings: TrainSettings, purge_step: int | None) -> list[Logger]:
    """metrics.csv, TensorBoard, and W&B on request; `WANDB_MODE=offline` keeps it on this disk."""
    folder = settings.output_dir
    found: list[Logger] = [
        MetricsFile(folder / METRICS_FILE, CONTRASTIVE if settings.contrastive_weight else ()),
        TensorBoardLogger(folder, name="tensorboard", version="", purge_step=purge_step),
    ]
    if not settings.use_wandb:
        return found
    is_resumed = purge_step is not None
    try:
        return [*found, WandbLog(folder, project=settings.wandb_project, is_resumed=is_resumed)]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "use_wandb needs Weights & Biases: pip install 'bionemo-geneformer-t[wandb]'"
        ) from error


def _callbacks(settings: TrainSettings, *, has_val: bool, lock: RunLock | None) -> list[L.Callback]:
    """Early stopping on request, the best checkpoints, and the one that a run resumes from.

    Raises:
        ValueError: Early stopping is set, and there are no validation cells.
    """
    found: list[L.Callback] = []
    if settings.early_stopping_patience is not None:
        if not has_val:
            raise ValueError(
                "early_stopping_patience needs validation cells; add a val/ folder to "
                f"{settings.data_dir} or leave the setting out"
            )
        found.append(EarlyStopping("val/loss", patience=settings.early_stopping_patience))
    best = None
    if has_val:
        best = BestCheckpoints(
            dirpath=settings.output_dir / CHECKPOINTS,
            filename="step={step:07d}-val_loss={val/loss:.4f}",
            auto_insert_metric_name=False,
            monitor="val/loss",
            save_top_k=settings.save_top_k,
            enable_version_counter=False,
        )
        found.append(best)
    last = RunCheckpoints(
        settings.output_dir / CHECKPOINTS,
        every_n_steps=settings.checkpoint_every_n_steps,
        every_minutes=settings.checkpoint_every_minutes,
        best=best,
        settings=settings.to_plain(),
        may_write=None if lock is None else lock.check,
    )
    return [*found, last]


def validation_interval(settings: TrainSettings, trainer: L.Trainer, batches: int) -> int:
    """Micro-batches between validations, at most those of an epoch and of the run.

    Args:
        settings: The run's.
        trainer: The run's, with its processes and its gradient accumulation.
        batches: Micro-batches of each process in a whole epoch.

    Raises:
        ValueError: They are more than an epoch has, or end inside an optimizer step, where nothing
            can be saved: a checkpoint does not contain accumulated gradients.
    """
    limit = settings.limit_train_batches
    if isinstance(limit, int):
        batches = min(batches, limit)
    elif limit is not None:
        batches = max(1, int(batches * limit))
    accumulated = trainer.accumulate_grad_batches
    if settings.max_steps > 0:
        batches = min(batches, settings.max_steps * accumulated)
    wanted = settings.val_check_interval or batches
    if wanted > batches:
        raise ValueError(
            f"val_check_interval is {wanted} micro-batches, an epoch has {batches}; lower it"
        )
    if wanted % accumulated and wanted != batches:
        raise ValueError(
            f"val_check_interval is {wanted} micro-batches, an optimizer step takes {accumulated}; "
            f"use a multiple, such as {-(-wanted // accumulated) * accumulated}"
        )
    return wanted


@contextmanager
def hardware_advice(settings: TrainSettings) -> Iterator[None]:
    """Name the settings of the hardware where Lightning refuses them."""
    try:
        yield
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        names = ("accelerator", "devices", "num_nodes", "strategy", "precision")
        given = ", ".join(f"{name}={getattr(settings, name)!r}" for name in names)
        raise ValueError(
            f"this computer cannot train with {given}: {' '.join(str(error).split())}. To train on "
            "the CPU: accelerator='cpu', devices=1, precision='32-true'"
        ) from error


@contextmanager
def out_of_memory_advice(settings: TrainSettings) -> Iterator[None]:
    """Name the settings to lower when memory runs out."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        is_memory = not isinstance(error, RuntimeError) or any(
            sign in str(error) for sign in ("out of memory", "not enough memory")
        )
        if not is_memory:
            raise
        size = (
            f"micro_batch_size (now {settings.micro_batch_size}; global_batch_size keeps the step "
            "as it is)"
            if settings.max_tokens_per_batch is None
            else f"max_tokens_per_batch (now {settings.max_tokens_per_batch:,})"
        )
        raise MemoryError(
            f"out of memory; lower {size} or seq_length (now {settings.seq_length})"
        ) from error


# --- where a new process imports the script that started it (macOS, Windows, Python 3.14) ---------


def refuse_in_spawned_process() -> None:
    """Refuse to train while a spawned process is importing the script that started it.

    Raises:
        RuntimeError: It is, and this would be a second run.
    """
    # multiprocessing's own mark of such a process, by which it refuses to start others there
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "this process is a worker of another one, and is importing its script "
            f"{_script()}, which trains when it is imported. Put the call of "
            f"train_temporal_geneformer under `{_GUARD}`, or set num_workers=0"
        )


def without_workers_where_none_can_start(settings: TrainSettings) -> TrainSettings:
    """The settings, with num_workers=0 where a worker would import a script that trains.

    The batches are the same, and are then made in the training process.
    """
    method = multiprocessing.get_start_method(allow_none=True)
    method = method or multiprocessing.get_all_start_methods()[0]  # the system's default
    if not settings.num_workers or method == "fork":
        return settings
    script = _script()
    if script is None or _GUARD.split()[1] in script.read_text(encoding="utf-8", errors="replace"):
        return settings
    logger.warning(
        "batches are made in the training process, without the %d workers of num_workers: on this "
        "system a worker imports %s, which would train again. Put what it does under `%s`",
        settings.num_workers, script, _GUARD,
    )  # fmt: skip
    return replace(settings, num_workers=0)


def _script() -> Path | None:
    """The file that Python was started with, if it was started with one."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None:  # typed in, or `python -m`
        return None
    return Path(file) if Path(file).is_file() else None
