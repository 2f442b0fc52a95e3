"""Loggers of a run: metrics.csv, Weights & Biases, and lines of progress.

A resumed run continues the same files. What comes after the checkpoint that it resumes from is
logged a second time. So metrics.csv drops its rows from there on, and rows that Weights & Biases
has, which can only append, are not sent again.
"""

import csv
import io
import json
import logging
import os
import secrets
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from bionemo.geneformer_t.files import disk_full_advice, write_text
from bionemo.geneformer_t.training.checkpoint_files import GO_ON

logger = logging.getLogger(__name__)

COLUMNS = ("step", "epoch", "train/loss", "val/loss", "learning_rate")
CONTRASTIVE = ("train/contrastive", "val/contrastive")
"""Further columns, where the loss has a contrastive term."""
WANDB_FILE = "wandb.jsonl"
CHATTER = (
    ".*LeafSpec",  # Lightning 2.6 on torch 2.13
    ".*does not have many workers",  # advice that is wrong for cached tokens
    "The number of training batches",  # short epochs are fine
    "Be aware that when using `ckpt_path`, callbacks",  # a resume names the settings it changes
    "Checkpoint directory .* exists and is not empty",  # expected when a run resumes
)

Row = tuple[int | None, tuple[str, ...]]
"""A step and the names of the metrics logged there."""


class MetricsFile(Logger):
    """Appends rows of `COLUMNS` to a CSV file; other metrics go to TensorBoard alone.

    Lightning's own CSV logger deletes the rows that earlier parts of a resumed run have written.

    Args:
        path: The file.
        further: Columns beside `COLUMNS`.
    """

    def __init__(self, path: Path, further: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.path = path
        self._columns = (*COLUMNS, *further)

    @property
    def name(self) -> str:
        """Lightning's name for this logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """Empty: there is one file per run."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: `config.yaml` holds the settings."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append one row, when it holds a loss.

        Raises:
            OSError: The disk is full.
        """
        if not {"train/loss", "val/loss"} & set(metrics):
            return
        row = {**metrics, "step": step, "epoch": int(metrics.get("epoch", 0))}
        _append(self.path, self._as_csv([row], with_header=not self.path.exists()))

    @rank_zero_only
    def sync(self) -> None:
        """Sync all rows to disk, before the checkpoint that follows them is written."""
        if self.path.exists():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Drop rows from this step on, and a row that a killed process left unfinished."""
        if self.path.exists():
            rows = csv.DictReader(io.StringIO(_finished_lines(self.path)))
            kept = [row for row in rows if int(row["step"]) < step]
            write_text(self.path, self._as_csv(kept, with_header=True))

    def _as_csv(self, rows: list[dict[str, Any]], *, with_header: bool) -> str:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, extrasaction="ignore", lineterminator="\n")
        if with_header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


class WandbLog(WandbLogger):
    """Lightning's logger, for one W&B run over all parts of a run, with every row once.

    Args:
        folder: The run's; `wandb.jsonl` in it has the W&B run's id and the rows that were sent.
        project: W&B's.
        is_resumed: Whether the run is resumed; otherwise it gets a new id.

    Raises:
        ModuleNotFoundError: wandb is not installed.
    """

    def __init__(self, folder: Path, *, project: str, is_resumed: bool) -> None:
        self._file = folder / WANDB_FILE
        run_id, self._sent = sent_rows(self._file) if is_resumed else (None, {})
        self._has_written = False
        super().__init__(
            project=project, save_dir=folder, id=run_id or secrets.token_hex(4), resume="allow"
        )

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send a row, unless this W&B run has it.

        The row is written down first: a kill can lose a row, but never sends one twice.

        Raises:
            OSError: The disk is full.
        """
        row = (step, tuple(sorted(metrics)))
        if row in self._sent:
            return
        self._sent[row] = None
        if self._has_written:
            _append(self._file, json.dumps(row) + "\n")
        else:  # written again, without a line that a killed process left unfinished
            lines = [{"id": self._id}, *self._sent]
            write_text(self._file, "".join(json.dumps(line) + "\n" for line in lines), GO_ON)
            self._has_written = True
        super().log_metrics(metrics, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Finish the W&B run: the next run of this process must not log into it."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(status != "success"))


def sent_rows(path: Path) -> tuple[str | None, dict[Row, None]]:
    """The id of the W&B run and its rows, in order; no id where there is none or it is damaged."""
    if not path.exists():
        return None, {}
    try:
        first, *rows = [json.loads(line) for line in _finished_lines(path).splitlines()]
        return str(first["id"]), {(step, tuple(names)): None for step, names in rows}
    except (ValueError, TypeError, KeyError):
        logger.warning("%s is damaged: this run continues as a new W&B run", path)
        return None, {}


class ProgressLines(L.Callback):
    """Logs step and validation loss after each validation, where there is no progress bar."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log one line for all processes."""
        if trainer.is_global_zero:
            logger.info("%s", progress_line(trainer.global_step, trainer.callback_metrics))


def progress_line(step: int, metrics: Mapping[str, Any]) -> str:
    """Such as `step 475: validation loss 5.460`."""
    loss = metrics.get("val/loss")
    return f"step {step:,}" + ("" if loss is None else f": validation loss {float(loss):.3f}")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's tips and hardware listings, and the warnings in `CHATTER`."""
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in CHATTER:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        log.setLevel(level)


def _finished_lines(path: Path) -> str:
    """The text of a file without a last line that a killed process left unfinished."""
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1]


def _append(path: Path, text: str) -> None:
    with disk_full_advice(path, GO_ON), path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)
