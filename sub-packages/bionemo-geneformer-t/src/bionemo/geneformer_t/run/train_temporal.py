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
from bionemo.geneformer_t.run.quiet import quiet_lightning
from bionemo.geneformer_t.run.start import (
    read_start,
    report_coverage,
    start_model,
    with_sizes,
)
from bionemo.geneformer_t.run.train_settings import LAST, TrainSettings

if TYPE_CHECKING:
    import lightning as L

    from bionemo.geneformer_t.run.metrics_file import MetricsFile

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.csv"
LOSS_CURVE = "loss_curve.png"


@command(TrainSettings)
def train_temporal_geneformer(settings: TrainSettings) -> Path:
    """Train a model to predict the next cell, and return the path of the best checkpoint.

    The best checkpoint has the lowest validation loss; without validation cells it is the last.

    Raises:
        FileNotFoundError: The data folder or a file in it is missing.
        FileExistsError: The output folder holds another run.
        ValueError: A setting or the data are not usable; the message says what to do.
        MemoryError: Memory ran out; the message names the settings to lower.
    """
    with quiet_lightning(), out_of_memory_advice(settings):
        return _train(settings)


def _train(settings: TrainSettings) -> Path:
    import lightning as L

    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
    from bionemo.geneformer_t.report.loss_curve import loss_curve

    data = TemporalGeneformerDataModule(
        settings.data_dir,
        **settings.pair_settings(),
        micro_batch_size=settings.micro_batch_size,
        num_workers=settings.num_workers,
    )
    resume = checkpoint_to_resume(settings)
    start = read_start(settings, resume)
    settings = with_sizes(settings, start)
    claim_output_dir(settings)
    L.seed_everything(settings.seed, verbose=False)
    model = start_model(settings, data.vocab, start)
    data.prepare_data()
    data.setup("fit")
    report_coverage(settings, model, data)
    write_config(settings)
    trainer, metrics = make_trainer(settings, has_val=data.has_val)
    trainer.val_check_interval = validation_interval(settings, trainer, len(data.train))
    if resume is not None:
        metrics.rewind(step_of(resume))
    trainer.fit(model, data, ckpt_path=resume)
    if trainer.is_global_zero and metrics.path.exists():
        loss_curve(metrics.path, settings.output_dir / LOSS_CURVE)
    best = trainer.checkpoint_callback.best_model_path if data.has_val else ""
    path = Path(best or trainer.checkpoint_callback.last_model_path)
    logger.info("best checkpoint: %s", path)
    return path


def make_trainer(settings: TrainSettings, *, has_val: bool) -> "tuple[L.Trainer, MetricsFile]":
    """The Lightning trainer of a run and the logger of its `metrics.csv`.

    Raises:
        ValueError: `global_batch_size` does not divide evenly.
        ModuleNotFoundError: W&B is asked for and not installed.
    """
    import lightning as L
    from lightning.pytorch.loggers import TensorBoardLogger

    from bionemo.geneformer_t.run.metrics_file import MetricsFile

    metrics = MetricsFile(settings.output_dir / METRICS_FILE)
    loggers = [metrics, TensorBoardLogger(settings.output_dir, name="tensorboard", version="")]
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
        logger=[*loggers, *wandb_loggers(settings)],
        callbacks=callbacks(settings, has_val=has_val),
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
    )
    trainer.accumulate_grad_batches = settings.accumulation(trainer.world_size)
    return trainer, metrics


def callbacks(settings: TrainSettings, *, has_val: bool) -> "list[L.Callback]":
    """Checkpoints (best and last), the learning rate's log, early stopping when asked.

    Raises:
        ValueError: Early stopping is asked for and there is nothing to validate on.
    """
    from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint

    found: list[Any] = [LearningRateMonitor(logging_interval="step")]
    checkpoint = ModelCheckpoint(
        dirpath=settings.output_dir / CHECKPOINTS,
        filename="step={step:07d}-val_loss={val/loss:.4f}" if has_val else "step={step:07d}",
        auto_insert_metric_name=False,
        monitor="val/loss" if has_val else None,
        save_top_k=settings.save_top_k if has_val else 1,
        save_last=True,
        enable_version_counter=False,
    )
    found.append(checkpoint)
    if settings.early_stopping_patience is not None:
        if not has_val:
            raise ValueError(
                "early_stopping_patience needs validation cells; add a val/ folder to "
                f"{settings.data_dir} or leave the setting out"
            )
        found.append(EarlyStopping("val/loss", patience=settings.early_stopping_patience))
    return found


def wandb_loggers(settings: TrainSettings) -> list[Any]:
    """The W&B logger when it is asked for; `WANDB_MODE=offline` keeps it on this computer."""
    if not settings.use_wandb:
        return []
    from lightning.pytorch.loggers import WandbLogger

    try:
        return [WandbLogger(project=settings.wandb_project, save_dir=settings.output_dir)]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "use_wandb needs Weights & Biases: pip install 'bionemo-geneformer-t[wandb]'"
        ) from error


def validation_interval(settings: TrainSettings, trainer: "L.Trainer", num_cells: int) -> int:
    """Micro-batches between validations, within what an epoch and the run have."""
    one_pass = settings.micro_batch_size * trainer.world_size
    batches = -(-num_cells // one_pass)
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
    return wanted


def claim_output_dir(settings: TrainSettings) -> None:
    """Make the output folder, if no other run is there.

    Raises:
        FileExistsError: It holds another run.
        PermissionError: It cannot be written.
    """
    from lightning.pytorch.utilities import rank_zero_only

    if rank_zero_only.rank != 0:
        return
    folder = settings.output_dir
    if settings.resume_from_checkpoint is None and (folder / CONFIG_FILE).exists():
        raise FileExistsError(
            f"output_dir {folder} holds another run; choose another folder, or continue that run "
            "with resume_from_checkpoint='last'"
        )
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_config(settings: TrainSettings) -> None:
    """Make the output folder this run's: what was refused before leaves it to the next.

    Raises:
        PermissionError: It cannot be written.
    """
    from lightning.pytorch.utilities import rank_zero_only

    if rank_zero_only.rank == 0:
        with writing(settings.output_dir):
            text = settings.to_yaml()
            (settings.output_dir / CONFIG_FILE).write_text(text, encoding="utf-8")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Name the output folder where it cannot be written."""
    try:
        yield
    except OSError as error:
        raise PermissionError(
            f"output_dir {folder} cannot be written ({error}); choose a folder you own"
        ) from error


def checkpoint_to_resume(settings: TrainSettings) -> Path | None:
    """The checkpoint that the run continues from; None for a fresh run.

    Raises:
        FileNotFoundError: There is none.
    """
    if settings.resume_from_checkpoint is None:
        return None
    path = Path(settings.resume_from_checkpoint)
    if settings.resume_from_checkpoint == LAST:
        path = settings.output_dir / CHECKPOINTS / "last.ckpt"
    if not path.is_file():
        raise FileNotFoundError(
            f"resume_from_checkpoint: expected a checkpoint at {path}; there is none. Leave the "
            "setting out to start afresh"
        )
    return path


def step_of(checkpoint: Path) -> int:
    """The number of optimizer steps behind a checkpoint."""
    import torch

    step: int = torch.load(checkpoint, weights_only=True, mmap=True)["global_step"]
    return step


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
        raise MemoryError(
            f"out of memory; lower micro_batch_size (now {settings.micro_batch_size}; "
            "global_batch_size keeps the step as it is) or seq_length (now "
            f"{settings.seq_length})"
        ) from error


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(main(train_temporal_geneformer))
