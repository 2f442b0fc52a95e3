"""Train: `train_temporal_geneformer(...)`, or `python -m bionemo.geneformer_t.run.train_temporal`.

The output folder is the run: its settings, its metrics and its checkpoints. One folder holds one
run.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.run.final_evaluation import final_evaluation
from bionemo.geneformer_t.training.data_driven_weights import start_from_cells
from bionemo.geneformer_t.training.initial_weights import (
    read_start,
    report_coverage,
    start_model,
    with_sizes,
)
from bionemo.geneformer_t.training.memory import remember
from bionemo.geneformer_t.training.quiet import quiet_lightning
from bionemo.geneformer_t.training.run_folder import (
    CHECKPOINTS,
    LOSS_CURVE,
    METRICS_FILE,
    checkpoint_to_resume,
    refuse_other_run,
    step_of,
)
from bionemo.geneformer_t.training.run_lock import RunLock, owned
from bionemo.geneformer_t.training.same_data import check_same_data, check_same_settings
from bionemo.geneformer_t.training.settings import TrainSettings
from bionemo.geneformer_t.training.spawned import (
    refuse_in_spawned_process,
    without_workers_where_none_can_start,
)

if TYPE_CHECKING:
    import lightning as L

logger = logging.getLogger(__name__)


@command(TrainSettings)
def train_temporal_geneformer(settings: TrainSettings) -> Path:
    """Train a model to predict the next cell, and return the path of the best checkpoint.

    The best checkpoint has the lowest validation loss; without validation cells it is the last. At
    the end it is scored beside baselines; the table is printed and stands in evaluation.txt.

    Raises:
        RunStopped: SIGTERM, SIGUSR1 or Ctrl-C asked the run to stop; it can be resumed.
        FileNotFoundError: The data folder or a file in it is missing.
        FileExistsError: The output folder holds another run.
        FolderInUseError: Another process trains into it.
        ValueError: A setting or the data are not usable; the message says what to do.
        MemoryError: Memory ran out; the message names the settings to lower.
    """
    refuse_in_spawned_process()
    with quiet_lightning(), out_of_memory_advice(settings), owned(settings.output_dir) as lock:
        if lock is not None:
            refuse_other_run(settings)
        return _train(settings, lock)


def _train(settings: TrainSettings, lock: RunLock | None) -> Path:
    import lightning as L

    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
    from bionemo.geneformer_t.report.figures.loss_curve import loss_curve

    settings = without_workers_where_none_can_start(settings)
    data = TemporalGeneformerDataModule(
        settings.data_dir,
        **settings.pair_settings(),
        micro_batch_size=settings.micro_batch_size,
        max_tokens_per_batch=settings.max_tokens_per_batch,
        num_workers=settings.num_workers,
        token_cache=settings.token_cache,
    )
    resume = checkpoint_to_resume(settings)
    start = read_start(settings, resume)
    settings = with_sizes(settings, start)
    if resume is not None:
        check_same_settings(resume, settings)
    L.seed_everything(settings.seed, verbose=False)
    model = start_model(settings, data.vocab, start)
    data.prepare_data()
    data.setup("fit")
    if resume is not None:
        check_same_data(resume, data)
    report_coverage(settings, model, data)
    if resume is None:
        start_from_cells(settings, model, data)
    steps = step_of(resume)
    is_used = settings.resume_from_checkpoint is not None
    trainer = make_trainer(
        settings, has_val=data.has_val, purge_step=steps if is_used else None, lock=lock
    )
    batches = data.num_train_batches(trainer)
    trainer.val_check_interval = validation_interval(settings, trainer, batches)
    trainer.fit(model, data, ckpt_path=resume)
    metrics = settings.output_dir / METRICS_FILE
    if trainer.is_global_zero and metrics.exists():
        loss_curve(metrics, settings.output_dir / LOSS_CURVE)
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    path = Path(best) if best else settings.output_dir / CHECKPOINTS / "last.ckpt"
    logger.info("best checkpoint: %s", path)
    if settings.successor_memory and trainer.is_global_zero:
        remember(settings, data, path)
    trainer.strategy.barrier("the best checkpoint is complete")
    if settings.final_evaluation and trainer.is_global_zero:
        final_evaluation(settings, path, len(data.vocab))
    return path


def make_trainer(
    settings: TrainSettings,
    *,
    has_val: bool,
    purge_step: int | None = None,
    lock: "RunLock | None" = None,
) -> "L.Trainer":
    """The Lightning trainer of a run.

    Args:
        settings: The run's.
        has_val: Whether there are cells to validate on.
        purge_step: The step that a resumed run goes on with: what an earlier process has logged
            from there on is about to come again.
        lock: That of the output folder.

    Raises:
        ValueError: `global_batch_size` does not divide evenly, or Lightning knows no such
            accelerator, devices, strategy or precision here.
        ModuleNotFoundError: W&B is asked for and not installed.
    """
    import lightning as L
    from lightning.pytorch.loggers import TensorBoardLogger

    from bionemo.geneformer_t.training.checkpoint_files import SafeCheckpointIO
    from bionemo.geneformer_t.training.metrics_file import MetricsFile
    from bionemo.geneformer_t.training.run_record import RunRecord

    metrics = MetricsFile(settings.output_dir / METRICS_FILE)
    board = TensorBoardLogger(
        settings.output_dir, name="tensorboard", version="", purge_step=purge_step
    )
    loggers = [metrics, board, *wandb_loggers(settings, is_resumed=purge_step is not None)]
    record = RunRecord(settings, loggers, steps=purge_step or 0)
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
            logger=False,  # `RunRecord` brings them, when nothing can fail any more
            plugins=[SafeCheckpointIO()],
            callbacks=[record, *callbacks(settings, has_val=has_val, lock=lock)],
            enable_progress_bar=sys.stderr.isatty(),
            enable_model_summary=False,
        )
    trainer.accumulate_grad_batches = settings.accumulation(trainer.world_size)
    return trainer


def callbacks(
    settings: TrainSettings, *, has_val: bool, lock: "RunLock | None" = None
) -> "list[L.Callback]":
    """Early stopping when asked, the best checkpoints, and the one that a run resumes from.

    Where there is no terminal for a bar, also lines of progress.

    Raises:
        ValueError: Early stopping is asked for and there is nothing to validate on.
    """
    from lightning.pytorch.callbacks import EarlyStopping

    from bionemo.geneformer_t.training.checkpointing import BestCheckpoints, RunCheckpoints
    from bionemo.geneformer_t.training.progress_lines import ProgressLines

    found: list[Any] = [] if sys.stderr.isatty() else [ProgressLines()]
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
    found.append(
        RunCheckpoints(
            settings.output_dir / CHECKPOINTS,
            every_n_steps=settings.checkpoint_every_n_steps,
            every_minutes=settings.checkpoint_every_minutes,
            best=best,
            settings=settings.to_plain(),
            may_write=None if lock is None else lock.check,
        )
    )
    return found


def wandb_loggers(settings: TrainSettings, *, is_resumed: bool) -> list[Any]:
    """The W&B logger when it is asked for; `WANDB_MODE=offline` keeps it on this computer."""
    if not settings.use_wandb:
        return []
    from bionemo.geneformer_t.training.wandb_log import WandbLog

    try:
        return [
            WandbLog(settings.output_dir, project=settings.wandb_project, is_resumed=is_resumed)
        ]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "use_wandb needs Weights & Biases: pip install 'bionemo-geneformer-t[wandb]'"
        ) from error


def validation_interval(settings: TrainSettings, trainer: "L.Trainer", batches: int) -> int:
    """Micro-batches between validations, within what an epoch and the run have.

    Args:
        settings: The run's.
        trainer: The run's, with its processes and its gradient accumulation.
        batches: Micro-batches of each process in a whole epoch.

    Raises:
        ValueError: They are more than an epoch has, or end inside an optimizer step, where nothing
            can be saved: accumulated gradients are no part of a checkpoint.
    """
    limit = settings.limit_train_batches
    if isinstance(limit, int):
        batches = min(batches, limit)
    elif limit is not None:
        batches = max(1, int(batches * limit))
    if settings.max_steps > 0:
        batches = min(batches, settings.max_steps * trainer.accumulate_grad_batches)
    wanted = settings.val_check_interval or batches
    if wanted > batches:
        raise ValueError(
            f"val_check_interval is {wanted} micro-batches, an epoch has {batches}; lower it"
        )
    accumulated = trainer.accumulate_grad_batches
    if wanted % accumulated and wanted != batches:
        raise ValueError(
            f"val_check_interval is {wanted} micro-batches, an optimizer step takes {accumulated}; "
            f"use a multiple, such as {-(-wanted // accumulated) * accumulated}"
        )
    return wanted


@contextmanager
def hardware_advice(settings: TrainSettings) -> Iterator[None]:
    """Name the settings of the hardware where Lightning refuses them."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

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
    """Say which settings to lower when memory runs out."""
    import torch

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


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(main(train_temporal_geneformer))
