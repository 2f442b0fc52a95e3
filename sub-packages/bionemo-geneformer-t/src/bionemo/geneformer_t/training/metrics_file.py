"""metrics.csv: one row per logged step, appended as it happens.

Lightning's own CSV logger deletes what a resumed run has written before; this one keeps it, and
drops the rows behind the checkpoint that the run resumes from, since they are about to come again.
A row that a killed process has left unfinished is among those.
"""

import csv
import io
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from bionemo.geneformer_t.files import disk_full_advice, write_text
from bionemo.geneformer_t.training.checkpoint_files import GO_ON

COLUMNS = ("step", "epoch", "train/loss", "val/loss", "learning_rate")


class MetricsFile(Logger):
    """A logger that appends rows of `COLUMNS` to a file; other metrics are TensorBoard's."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:
        """Lightning's word for a logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """There is one file per run."""
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
        text = _as_csv([row], with_header=not self.path.exists())
        with (
            disk_full_advice(self.path, GO_ON),
            self.path.open("a", encoding="utf-8", newline="") as file,
        ):
            file.write(text)

    @rank_zero_only
    def sync(self) -> None:
        """Force all rows to the disk, before a checkpoint says that they have been written."""
        if self.path.exists():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Drop the rows behind a step, and what is left of a row that was being written."""
        if not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = [row for row in csv.DictReader(io.StringIO(whole)) if int(row["step"]) < step]
        write_text(self.path, _as_csv(rows, with_header=True))


def _as_csv(rows: list[dict[str, Any]], *, with_header: bool) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    if with_header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
