"""metrics.csv: one row per logged step, appended as it happens.

Lightning's own CSV logger deletes what a resumed run has written before; this one keeps it, and
drops the rows behind the checkpoint that the run resumes from, since they are about to come again.
"""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

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
        """Append one row, when it holds a loss."""
        row = {("learning_rate" if k.startswith("lr-") else k): v for k, v in metrics.items()}
        if not {"train/loss", "val/loss"} & set(row):
            return
        is_new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            if is_new:
                writer.writeheader()
            writer.writerow({**row, "step": step, "epoch": int(row.get("epoch", 0))})

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Drop the rows behind a step, because training continues from there."""
        if not self.path.exists():
            return
        with self.path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) < step]
        kept = self.path.with_suffix(".csv.new")
        with kept.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        kept.replace(self.path)
