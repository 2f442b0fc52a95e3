"""One run is one W&B run, however often it is resumed, and W&B gets each row once.

The id of the W&B run and the rows that it was given stand in the output folder. W&B only ever
appends, so a row that comes again after a resume, from the steps behind the last checkpoint, is
not sent again.
"""

import json
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from bionemo.geneformer_t.files import disk_full_advice, write_text
from bionemo.geneformer_t.training.checkpoint_files import GO_ON

logger = logging.getLogger(__name__)

FILE = "wandb.jsonl"

Row = tuple[int | None, tuple[str, ...]]
"""A step and the names of what was measured there."""


class WandbLog(WandbLogger):
    """Lightning's logger, for one W&B run over all parts of a run.

    Args:
        folder: The run's; `wandb.jsonl` there tells the id and the rows.
        project: W&B's.
        is_resumed: Whether the run goes on; a fresh one gets an id of its own.

    Raises:
        ModuleNotFoundError: wandb is not installed.
    """

    def __init__(self, folder: Path, *, project: str, is_resumed: bool) -> None:
        self._rows_file = folder / FILE
        run_id, self._sent = read_rows(self._rows_file) if is_resumed else (None, set())
        self._is_new = run_id is None
        self._has_written = False
        super().__init__(
            project=project, save_dir=folder, id=run_id or secrets.token_hex(4), resume="allow"
        )

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send a row, unless this W&B run has it.

        The row is written down first: one that a kill takes away is missing, none is there twice.

        Raises:
            OSError: The disk is full.
        """
        row = (step, tuple(sorted(metrics)))
        if row in self._sent:
            return
        with disk_full_advice(self._rows_file, GO_ON):
            if not self._has_written and not self._is_new:
                drop_unfinished(self._rows_file)
            self._has_written = True
            if self._is_new:
                write_text(self._rows_file, json.dumps({"id": self._id}) + "\n")
                self._is_new = False
            with self._rows_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        self._sent.add(row)
        super().log_metrics(metrics, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Finish the W&B run: the next run of this process must not log into it."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(status != "success"))


def read_rows(path: Path) -> tuple[str | None, set[Row]]:
    """The id of the W&B run and the rows it has; no id where it has none or the file is damaged.

    A line that a killed process has left unfinished counts for nothing; see `drop_unfinished`.
    """
    if not path.exists():
        return None, set()
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    try:
        first, *rows = [json.loads(line) for line in whole.splitlines()]
        run_id = str(first["id"])
        sent: set[Row] = {(step, tuple(names)) for step, names in rows}
    except (ValueError, TypeError, KeyError):
        logger.warning("%s is damaged: this run goes on as a new W&B run", path)
        return None, set()
    return run_id, sent


def drop_unfinished(path: Path) -> None:
    """Remove a line that a killed process has left unfinished."""
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_text(path, whole, GO_ON)
