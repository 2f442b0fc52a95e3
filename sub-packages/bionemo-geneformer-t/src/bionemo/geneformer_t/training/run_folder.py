"""The folder of a run: whose it is, and where in it a run that was cut short goes on."""

import logging
from pathlib import Path

from bionemo.geneformer_t.training.settings import LAST, TrainSettings

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.csv"
LOSS_CURVE = "loss_curve.png"


def refuse_other_run(settings: TrainSettings) -> None:
    """Refuse to start where another run is.

    Raises:
        FileExistsError: The output folder holds one.
    """
    folder = settings.output_dir
    if settings.resume_from_checkpoint is None and (folder / CONFIG_FILE).exists():
        raise FileExistsError(
            f"output_dir {folder} holds another run; choose another folder, or continue that run "
            "with --resume_from_checkpoint last (in Python: resume_from_checkpoint='last')"
        )


def checkpoint_to_resume(settings: TrainSettings) -> Path | None:
    """The checkpoint that the run continues from; None for a fresh run.

    `last` starts afresh where nothing has been saved yet, so that one command can be repeated until
    the run is done.

    Raises:
        FileNotFoundError: There is no checkpoint at the path given.
        ValueError: It is damaged, or all that `last` could take are.
    """
    from bionemo.geneformer_t.training.checkpoint_files import newest_intact, read_checkpoint

    if settings.resume_from_checkpoint is None:
        return None
    if settings.resume_from_checkpoint == LAST:
        folder = settings.output_dir / CHECKPOINTS
        found = newest_intact(folder)
        if found is None:
            logger.warning("%s holds no checkpoint yet: starting afresh", folder)
        return found
    path = Path(settings.resume_from_checkpoint)
    if not path.is_file():
        raise FileNotFoundError(
            f"resume_from_checkpoint: expected a checkpoint at {path}; there is none. `last` takes "
            "the newest in output_dir, and starts afresh where there is none"
        )
    read_checkpoint(path)
    return path


def step_of(checkpoint: Path | None) -> int:
    """The number of optimizer steps behind a checkpoint; 0 without one."""
    from bionemo.geneformer_t.training.checkpoint_files import read_checkpoint

    return 0 if checkpoint is None else int(read_checkpoint(checkpoint)["global_step"])
