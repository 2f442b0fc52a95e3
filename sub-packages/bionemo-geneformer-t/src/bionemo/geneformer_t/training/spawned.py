"""A training script whose workers import it again: where processes are spawned and not forked.

On macOS and Windows, and from Python 3.14 on, a new process imports the script that it was started
from. A script that trains in its outermost lines would then train once more in every worker.
"""

import logging
import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path

from bionemo.geneformer_t.training.settings import TrainSettings

logger = logging.getLogger(__name__)

_GUARD = 'if __name__ == "__main__":'


def refuse_in_spawned_process() -> None:
    """Refuse to train while a new process is importing the script that started it.

    Raises:
        RuntimeError: It is, and this would be a second run.
    """
    # multiprocessing's own mark of such a process, by which it refuses to start others there
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "this process was started to help another one, and is importing its script "
            f"{_script()}, which trains when it is imported. Put the call of "
            f"train_temporal_geneformer under `{_GUARD}`, or set num_workers=0"
        )


def without_workers_where_none_can_start(settings: TrainSettings) -> TrainSettings:
    """The settings, without workers where they would import a script that trains when imported.

    Batches are then made in the training process: the same, and later.
    """
    method = multiprocessing.get_start_method(allow_none=True)
    method = method or multiprocessing.get_all_start_methods()[0]  # the system's default
    if not settings.num_workers or method == "fork":
        return settings
    script = _script()
    if script is None or _GUARD.split()[1] in script.read_text(encoding="utf-8", errors="replace"):
        return settings
    logger.warning(
        "batches are made in the training process, without the %d workers of num_workers: on this "
        "system a worker imports %s, which would train again. Put what it does under `%s`",
        settings.num_workers, script, _GUARD,
    )  # fmt: skip
    return replace(settings, num_workers=0)


def _script() -> Path | None:
    """The file that Python was started with, if it was started with one."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None:  # typed in, or `python -m`
        return None
    return Path(file) if Path(file).is_file() else None
