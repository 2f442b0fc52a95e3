"""The folder of a run: whose it is, and where in it a run that was cut short goes on."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bionemo.geneformer_t.run.train_settings import LAST, TrainSettings

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.csv"
LOSS_CURVE = "loss_curve.png"


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
            "with --resume_from_checkpoint last (in Python: resume_from_checkpoint='last')"
        )
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_config(settings: TrainSettings) -> None:
    """Make the output folder this run's: what was refused before leaves it to the next.

    Raises:
        PermissionError: It cannot be written.
    """
    from lightning.pytorch.utilities import rank_zero_only

    from bionemo.geneformer_t.run.checkpoint_files import replace_text

    if rank_zero_only.rank != 0:
        return
    config = settings.output_dir / CONFIG_FILE
    if config.exists():
        warn_of_changes(config, settings)
    with writing(settings.output_dir):
        replace_text(config, settings.to_yaml())


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Name the output folder where it cannot be written."""
    try:
        yield
    except OSError as error:
        raise PermissionError(
            f"output_dir {folder} cannot be written ({error}); choose a folder you own"
        ) from error


def warn_of_changes(config: Path, settings: TrainSettings) -> None:
    """Name the settings that a resumed run does not share with the run that began."""
    import yaml

    try:
        before = yaml.safe_load(config.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        before = None
    if not isinstance(before, dict):
        logger.warning("%s is damaged and is written anew", config)
        return
    now = yaml.safe_load(settings.to_yaml())
    changed = [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in sorted({*before, *now} - {"output_dir", "data_dir"})
        if before.get(name) != now.get(name)
    ]
    if changed:
        logger.warning(
            "this run resumes with other settings than it began with: %s", "; ".join(changed)
        )


def checkpoint_to_resume(settings: TrainSettings) -> Path | None:
    """The checkpoint that the run continues from; None for a fresh run.

    `last` starts afresh where nothing has been saved yet, so that one command can be repeated until
    the run is done.

    Raises:
        FileNotFoundError: There is no checkpoint at the path given.
        ValueError: It is damaged, or all that `last` could take are.
    """
    from bionemo.geneformer_t.run.checkpoint_files import newest_intact, read_checkpoint

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
    from bionemo.geneformer_t.run.checkpoint_files import read_checkpoint

    return 0 if checkpoint is None else int(read_checkpoint(checkpoint)["global_step"])
