"""Train: `train_temporal_geneformer(...)`, or `python -m bionemo.geneformer_t.run.train_temporal`.

The output folder has the settings, metrics and checkpoints of one run.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bionemo.geneformer_t.run.command import command, main
from bionemo.geneformer_t.run.final_evaluation import final_evaluation
from bionemo.geneformer_t.training.settings import TrainSettings

if TYPE_CHECKING:
    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
    from bionemo.geneformer_t.training.run_lock import RunLock

logger = logging.getLogger(__name__)


class _Trained(NamedTuple):
    """A run that is done."""

    best: Path
    data: "TemporalGeneformerDataModule"
    is_first_process: bool


@command(TrainSettings)
def train_temporal_geneformer(settings: TrainSettings) -> Path:
    """Train a model to predict the next cell, and return the path of the best checkpoint.

    The best checkpoint is the one with the lowest validation loss or, if there are no validation
    cells, the last one. With `controls`, a second model is trained on shuffled successors. At the
    end, the best checkpoint is scored together with baselines and this control; the scores are
    printed and written to evaluation.txt.

    Raises:
        RunStopped: SIGTERM, SIGUSR1 or Ctrl-C asked the run to stop; it can be resumed.
        FileNotFoundError: The data folder or a file in it is missing.
        FileExistsError: The output folder contains another run.
        FolderInUseError: Another process is training in the output folder.
        ValueError: A setting or the data cannot be used; the message says what to do.
        MemoryError: Memory ran out; the message names the settings to lower.
    """
    from bionemo.geneformer_t.training.loggers import quiet_lightning
    from bionemo.geneformer_t.training.run_folder import refuse_other_run
    from bionemo.geneformer_t.training.run_lock import owned
    from bionemo.geneformer_t.training.shuffled_control import control_settings
    from bionemo.geneformer_t.training.trainer import (
        out_of_memory_advice,
        refuse_in_spawned_process,
    )

    refuse_in_spawned_process()
    with quiet_lightning(), out_of_memory_advice(settings), owned(settings.output_dir) as lock:
        if lock is not None:
            refuse_other_run(settings)
            if settings.controls:
                refuse_other_run(control_settings(settings))
        trained = _train(settings, lock)
        if settings.controls:
            _train_control(control_settings(settings))
        if settings.final_evaluation and trained.is_first_process:
            final_evaluation(settings, trained.best, trained.data)
        return trained.best


def _train_control(settings: TrainSettings) -> None:
    """Train on shuffled successors, in a folder that is locked and resumed like that of any run."""
    from bionemo.geneformer_t.training.run_lock import owned
    from bionemo.geneformer_t.training.shuffled_control import begin, finish

    logger.info("training the control, on shuffled successors, in %s", settings.output_dir)
    with owned(settings.output_dir) as lock:
        if lock is not None:
            begin(settings.output_dir)
        control = _train(settings, lock)
        if lock is not None:
            finish(settings.output_dir, control.best)


def _train(settings: TrainSettings, lock: "RunLock | None") -> _Trained:
    import lightning as L

    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
    from bionemo.geneformer_t.report.figures.loss_curve import loss_curve
    from bionemo.geneformer_t.training.initial_weights import (
        read_start,
        report_coverage,
        start_model,
        with_sizes,
    )
    from bionemo.geneformer_t.training.run_files import CHECKPOINTS, LOSS_CURVE, METRICS_FILE
    from bionemo.geneformer_t.training.run_folder import checkpoint_to_resume
    from bionemo.geneformer_t.training.trained_gaps import set_trained_gaps
    from bionemo.geneformer_t.training.trainer import (
        make_trainer,
        validation_interval,
        without_workers_where_none_can_start,
    )
    from bionemo.geneformer_t.training.training_cell_record import training_cells_of
    from bionemo.geneformer_t.training.weights_from_cells import set_weights_from_cells

    settings = without_workers_where_none_can_start(settings)
    data = TemporalGeneformerDataModule(
        settings.data_dir,
        settings.pair_settings(),
        micro_batch_size=settings.micro_batch_size,
        max_tokens_per_batch=settings.max_tokens_per_batch,
        num_workers=settings.num_workers,
        token_cache=settings.token_cache,
    )
    resume = checkpoint_to_resume(settings)
    start = read_start(settings, resume)
    settings = with_sizes(settings, start)
    if resume is not None:
        resume.check_settings(settings)
    L.seed_everything(settings.seed, verbose=False)
    model = start_model(settings, data.vocab, start)
    data.prepare_data()
    data.setup("fit")
    if resume is not None:
        resume.check_data(data)
    model.training_cells = training_cells_of(data.train)
    report_coverage(settings, model, data)
    if resume is None:
        set_trained_gaps(model, data.train)
        set_weights_from_cells(settings, model, data)
    steps = 0 if resume is None else resume.steps
    is_used = settings.resume_from_checkpoint is not None
    trainer = make_trainer(
        settings, has_val=data.has_val, purge_step=steps if is_used else None, lock=lock
    )
    batches = data.num_train_batches(trainer)
    trainer.val_check_interval = validation_interval(settings, trainer, batches)
    trainer.fit(model, data, ckpt_path=None if resume is None else resume.path)
    metrics = settings.output_dir / METRICS_FILE
    if trainer.is_global_zero and metrics.exists():
        loss_curve(metrics, settings.output_dir / LOSS_CURVE)
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    path = Path(best) if best else settings.output_dir / CHECKPOINTS / "last.ckpt"
    logger.info("best checkpoint: %s", path)
    if trainer.is_global_zero:
        _complete(path, settings, data)
    trainer.strategy.barrier("the best checkpoint is complete")
    return _Trained(path, data, trainer.is_global_zero)


def _complete(
    checkpoint: Path, settings: TrainSettings, data: "TemporalGeneformerDataModule"
) -> None:
    """Write into the best checkpoint what is fitted to its weights."""
    from bionemo.geneformer_t.training.add_canonical_axes import add_canonical_axes
    from bionemo.geneformer_t.training.add_gap_sharpness import add_gap_sharpness
    from bionemo.geneformer_t.training.add_knn_memory import add_memory
    from bionemo.geneformer_t.training.add_transitions import add_transitions

    add_canonical_axes(checkpoint, data.train, data.val, settings.seed)
    if settings.successor_memory:
        add_memory(settings, data, checkpoint)
    add_transitions(checkpoint, data.train, data.val, settings.seed)
    add_gap_sharpness(checkpoint, data.val, settings.pair_settings())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(main(train_temporal_geneformer))
