"""What a run writes about itself when it begins, and not before: what fails leaves no trace.

Lightning opens the files of loggers before it restores a checkpoint. So the trainer gets its
loggers, and settings and rows of an earlier part are touched, when the first batch is about to be
trained on.
"""

import json
import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lightning as L
from lightning.pytorch.loggers.logger import Logger

from bionemo.geneformer_t.files import write_text
from bionemo.geneformer_t.training.checkpoint_files import GO_ON
from bionemo.geneformer_t.training.checkpointing import RunCheckpoints
from bionemo.geneformer_t.training.initial_weights import REPORT_FILE
from bionemo.geneformer_t.training.loggers import MetricsFile
from bionemo.geneformer_t.training.resume_settings import OnResume, changes, described
from bionemo.geneformer_t.training.run_folder import CONFIG_FILE
from bionemo.geneformer_t.training.settings import TrainSettings

if TYPE_CHECKING:
    from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

logger = logging.getLogger(__name__)

_CHANGE = re.compile(r"# step (\d+): ")
"""Begins the lines of config.yaml that say since when a setting is what it is."""


class RunRecord(L.Callback):
    """Writes config.yaml and pretrained.json, and drops rows that are about to come again.

    Args:
        settings: The run's.
        loggers: Its loggers.
        steps: Optimizer steps behind the checkpoint that it goes on from.
    """

    def __init__(self, settings: TrainSettings, loggers: Sequence[Logger], *, steps: int) -> None:
        self.settings = settings
        self.loggers = loggers
        self.steps = steps
        self._before: dict[str, Any] = {}  # the settings behind the checkpoint

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """See which settings the run goes on from: config.yaml may tell of later steps."""
        carried = checkpoint.get("callbacks", {}).get(RunCheckpoints.__qualname__, {})
        self._before = dict(carried.get("settings") or {})

    def on_train_start(self, trainer: L.Trainer, pl_module: "TemporalGeneformerModel") -> None:
        """Write it all.

        Raises:
            OSError: The disk is full.
        """
        if trainer.is_global_zero:
            self._write_config()
            if pl_module.start is not None and not self.steps:
                report = json.dumps(pl_module.start.to_dict(), indent=2)
                write_text(self.settings.output_dir / REPORT_FILE, report, GO_ON)
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
        write_text(path, "".join([*history, self.settings.to_yaml()]), GO_ON)

    def _history(self, text: str) -> list[str]:
        import yaml

        try:
            written = yaml.safe_load(text)
        except yaml.YAMLError:
            written = None
        if not isinstance(written, dict):
            logger.warning("config.yaml is damaged and is written anew")
            written = {}
        before = self._before or written  # older checkpoints carry no settings
        # a change right behind the checkpoint is part of it if it was written after that change
        end = self.steps + (not changes(before, written, *_NAMED))
        told = [
            line
            for line in text.splitlines(keepends=True)
            if (change := _CHANGE.match(line)) and int(change[1]) < end
        ]
        found = changes(before, self.settings.to_plain(), *_NAMED)
        if not found:
            return told
        logger.warning(
            "this run resumes with other settings than it began with: %s; they are used from here "
            "on, after step %d", described(found), self.steps,
        )  # fmt: skip
        return [*told, f"# step {self.steps}: {_one_line(found)}\n"]


_NAMED: Sequence[OnResume] = (OnResume.USED, OnResume.BETWEEN_EPOCHS, OnResume.CHECKED_WITH_DATA)


def _one_line(found: dict[str, tuple[Any, Any]]) -> str:
    return " ".join(described(found).split())
