"""The folder of a run: the checkpoint in it that a run resumes from, and the record of settings.

Lightning opens the files of loggers before it restores a checkpoint, and a run that fails early
must leave no trace. So the trainer gets its loggers, and settings and rows of an earlier part are
touched, when the first batch is about to be trained on.
"""

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import yaml
from lightning.pytorch.loggers.logger import Logger

from bionemo.geneformer_t.files import write_text
from bionemo.geneformer_t.training.checkpoint_files import GO_ON, newest_intact, read_intact
from bionemo.geneformer_t.training.checkpointing import RunCheckpoints
from bionemo.geneformer_t.training.loggers import MetricsFile
from bionemo.geneformer_t.training.resume_point import ResumePoint
from bionemo.geneformer_t.training.resume_settings import OnResume, changes, described
from bionemo.geneformer_t.training.run_files import CHECKPOINTS, CONFIG_FILE, PRETRAINED_FILE
from bionemo.geneformer_t.training.settings import LAST, TrainSettings

if TYPE_CHECKING:
    from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

logger = logging.getLogger(__name__)

_CHANGE = re.compile(r"# step (\d+): ")
"""Start of a line in config.yaml that records a changed setting."""
_NAMED: Sequence[OnResume] = (OnResume.USED, OnResume.BETWEEN_EPOCHS, OnResume.CHECKED_WITH_DATA)


def refuse_other_run(settings: TrainSettings) -> None:
    """Refuse to start in the folder of another run.

    Raises:
        FileExistsError: The output folder contains one.
    """
    folder = settings.output_dir
    if settings.resume_from_checkpoint is None and (folder / CONFIG_FILE).exists():
        raise FileExistsError(
            f"output_dir {folder} contains another run; choose another folder, or continue that "
            "run with --resume_from_checkpoint last (in Python: resume_from_checkpoint='last')"
        )


def checkpoint_to_resume(settings: TrainSettings) -> ResumePoint | None:
    """The checkpoint that the run continues from; None for a fresh run.

    `last` starts from the beginning if nothing has been saved yet, so that one command can be
    repeated until the run is done.

    Raises:
        FileNotFoundError: There is no checkpoint at the path given.
        ValueError: It is damaged, or with `last`, all checkpoints are.
    """
    if settings.resume_from_checkpoint is None:
        return None
    if settings.resume_from_checkpoint == LAST:
        folder = settings.output_dir / CHECKPOINTS
        found = newest_intact(folder)
        if found is None:
            logger.warning("%s holds no checkpoint yet: starting from the beginning", folder)
        return None if found is None else ResumePoint(*found)
    path = Path(settings.resume_from_checkpoint)
    if not path.is_file():
        raise FileNotFoundError(
            f"resume_from_checkpoint: expected a checkpoint at {path}; there is none. `last` takes "
            "the newest in output_dir, and starts from the beginning if there is none"
        )
    return ResumePoint(path, read_intact(path))


class RunRecord(L.Callback):
    """Writes config.yaml and pretrained.json, and drops rows that will be logged again.

    Args:
        settings: The run's.
        loggers: Its loggers.
        steps: Optimizer steps before the checkpoint that it resumes from.
    """

    def __init__(self, settings: TrainSettings, loggers: Sequence[Logger], *, steps: int) -> None:
        self.settings = settings
        self.loggers = loggers
        self.steps = steps
        self._before: dict[str, Any] = {}  # the settings in the checkpoint

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Read the settings in the checkpoint; those in config.yaml may be of later steps."""
        saved = checkpoint.get("callbacks", {}).get(RunCheckpoints.__qualname__, {})
        self._before = dict(saved.get("settings") or {})

    def on_train_start(self, trainer: L.Trainer, pl_module: "TemporalGeneformerModel") -> None:
        """Write the record, when the first batch is about to be trained on.

        Raises:
            OSError: The disk is full.
        """
        if trainer.is_global_zero:
            self._write_config()
            if pl_module.start is not None and not self.steps:
                report = json.dumps(pl_module.start.to_dict(), indent=2)
                write_text(self.settings.output_dir / PRETRAINED_FILE, report, GO_ON)
        for each in self.loggers:
            if isinstance(each, MetricsFile):
                each.rewind(self.steps)
            each.log_hyperparams(pl_module.hparams_initial)
            each.save()
        trainer.loggers = list(self.loggers)

    def _write_config(self) -> None:
        path = self.settings.output_dir / CONFIG_FILE
        is_resumed = bool(self.steps) and path.exists()
        history = self._history(path.read_text(encoding="utf-8")) if is_resumed else []
        settings = yaml.safe_dump(self.settings.to_plain(), sort_keys=False)
        write_text(path, "".join([*history, settings]), GO_ON)

    def _history(self, text: str) -> list[str]:
        try:
            written = yaml.safe_load(text)
        except yaml.YAMLError:
            written = None
        if not isinstance(written, dict):
            logger.warning("config.yaml is damaged and is written again")
            written = {}
        before = self._before or written  # older checkpoints have no settings
        # a change at the step of the checkpoint is part of it if it was saved after the change
        end = self.steps + (not changes(before, written, *_NAMED))
        history = [
            line
            for line in text.splitlines(keepends=True)
            if (change := _CHANGE.match(line)) and int(change[1]) < end
        ]
        found = changes(before, self.settings.to_plain(), *_NAMED)
        if not found:
            return history
        line = " ".join(described(found).split())
        logger.warning(
            "this run resumes with other settings than it began with: %s; they are used from here "
            "on, after step %d", described(found), self.steps,
        )  # fmt: skip
        return [*history, f"# step {self.steps}: {line}\n"]
