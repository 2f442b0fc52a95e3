"""Checkpoint files that survive a crash, a full disk or a damaged sector.

A checkpoint is written under a temporary name, synced to disk, read back and then renamed; the one
that it replaces is kept as `previous.ckpt`. Reading never runs code from a file. If a checkpoint is
damaged, the previous one is used.
"""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from bionemo.geneformer_t.files import remove_abandoned, whole_file
from bionemo.geneformer_t.model.weights.pretrained import CHECKPOINT_KEY
from bionemo.geneformer_t.safe_files import DamagedCheckpointError, load_plain

logger = logging.getLogger(__name__)

LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"
_KEPT_AS = {LAST: PREVIOUS}
"""New name of a file that is replaced by a new one."""
GO_ON = "Free some, then continue with --resume_from_checkpoint last"
"""What to do if the disk is full during a run."""
_BEST = re.compile(r"step=(\d+)(?:-val_loss=[-\w.]+)?\.ckpt")


class SafeCheckpointIO(CheckpointIO):
    """Lightning's plugin to write and read the checkpoints of this package."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Path | str, storage_options: Any = None
    ) -> None:
        """Write, verify and rename.

        Raises:
            OSError: The disk is full or failing; the checkpoint that was there is unchanged.
        """
        path = Path(path)
        with whole_file(path, GO_ON) as partial:
            with partial.open("wb") as file:
                _save(checkpoint, file)
            read_intact(partial)
            if path.name in _KEPT_AS and path.exists():
                _keep(path, path.with_name(_KEPT_AS[path.name]))

    def load_checkpoint(
        self, path: Path | str, map_location: Any = None, **_: Any
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; only plain values and tensors, whatever the arguments."""
        return read_intact(Path(path), map_location=map_location or "cpu", mmap=False)

    def remove_checkpoint(self, path: Path | str) -> None:
        """Remove a file, if it exists."""
        Path(path).unlink(missing_ok=True)


def read_intact(path: Path, *, map_location: Any = "cpu", mmap: bool = True) -> dict[str, Any]:
    """Check every byte of a checkpoint against its checksums, and read it without running code.

    Args:
        path: The file.
        map_location: Where tensors go.
        mmap: Leave tensors on the disk until they are used.

    Raises:
        FileNotFoundError: No such file.
        DamagedCheckpointError: It is truncated or altered, or has more than plain values and
            tensors.
    """
    content = load_plain(path, device=map_location, mmap=mmap, verify=True)
    if not isinstance(content, dict) or not {"state_dict", "global_step"} <= content.keys():
        raise DamagedCheckpointError(f"{path} is a PyTorch file, but not a checkpoint of a run")
    return content


def add_entry(path: Path, name: str, value: Any) -> None:
    """Put tensors and plain values beside the weights of a checkpoint, which is replaced whole.

    Raises:
        FileNotFoundError: No such file.
        DamagedCheckpointError: As `read_intact`.
        OSError: The disk is full or failing; the checkpoint is unchanged.
    """
    content = read_intact(path, mmap=False)
    content[CHECKPOINT_KEY][name] = value
    SafeCheckpointIO().save_checkpoint(content, path)


def newest_intact(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest complete checkpoint in a run's folder and its content; None if there is no file.

    Raises:
        DamagedCheckpointError: There are some, and all are damaged.
    """
    found = list(_newest_first(folder))
    for path in found:
        try:
            return path, read_intact(path)
        except DamagedCheckpointError as error:
            logger.warning("%s; the previous one is used", error)
    if found:
        raise DamagedCheckpointError(
            f"all checkpoints in {folder} are damaged: {', '.join(p.name for p in found)}; restore "
            "one from a copy, or choose another output_dir to start again"
        )
    return None


def prune(folder: Path, steps: int, kept: set[str]) -> None:
    """Remove best checkpoints that a run at this step no longer counts among its best.

    Args:
        folder: The run's folder of checkpoints.
        steps: Optimizer steps before the newest checkpoint; files of later steps are kept.
        kept: Names of the best checkpoints.
    """
    for path in folder.glob("step=*.ckpt"):
        named = _BEST.fullmatch(path.name)
        if named and int(named[1]) <= steps and path.name not in kept:
            path.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Remove unfinished files of killed processes, also with the names of earlier versions."""
    remove_abandoned(folder)
    for path in folder.glob(".*.partial"):
        path.unlink(missing_ok=True)


def _newest_first(folder: Path) -> Iterator[Path]:
    yield from (path for name in (LAST, PREVIOUS) if (path := folder / name).is_file())
    best = [(int(m[1]), p) for p in folder.glob("step=*.ckpt") if (m := _BEST.fullmatch(p.name))]
    yield from (path for _, path in sorted(best, reverse=True))


def _keep(path: Path, kept: Path) -> None:
    """Give a file a second name, so that the new file can take its first name in one step."""
    try:
        with whole_file(kept) as second:
            second.hardlink_to(path)
    except OSError:
        path.replace(kept)  # without hard links there is only `previous` for a moment


def _save(checkpoint: dict[str, Any], file: IO[bytes]) -> None:
    """`torch.save`, but with the system's own error where writing fails."""
    watched = _Watched(file)
    try:
        torch.save(checkpoint, watched)  # type: ignore[arg-type] # it only writes and flushes
    except (RuntimeError, OSError):
        if watched.error is not None:
            raise watched.error from None
        raise


class _Watched:
    """A file that keeps the error of a failed write, which torch replaces by its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._write: Callable[[Any], int] = file.write
        self.flush = file.flush
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._write(data)
        except OSError as error:
            self.error = error
            raise
