"""Folders under construction: nobody sees half of one, and none outlives its builder.

A workshop is a hidden folder beside the final place. While it is filled, its builder holds a lock
that the system drops however the process ends; so whoever finds a workshop and can take its lock
knows that the builder is dead. Locks of other computers cannot be trusted on every network file
system: their workshops go when nothing has moved in them for a day.
"""

import fcntl
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

logger = logging.getLogger(__name__)

ABANDONED_AFTER = 24 * 3600.0
"""Seconds without a change after which another computer's workshop is taken for abandoned."""
VISIBLE_WITHIN = 10.0
"""Seconds that a network file system may take to show a new name."""
_POLL = 0.1
_SUFFIX = ".geneformer_t_partial"
"""What is removed when it is abandoned must not look like anything else."""
_HOST = "".join(c for c in socket.gethostname() if c.isalnum()) or "unnamed"


@contextmanager
def only_builder(place: Path, name: str, is_done: Callable[[], bool]) -> Iterator[None]:
    """Wait until nobody else builds this entry, or until it is done.

    Args:
        place: The folder of all entries; it can be written to.
        name: The entry.
        is_done: Whether another process has completed it.

    Raises:
        OSError: The place cannot be written to.
    """
    path, has_told = _lock_of(place, name), False
    while True:
        with path.open("a") as file:
            is_locked = _try_lock(file)
            if is_locked and _is_same(file, path):
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
        if is_locked is None or is_done():
            yield
            return
        if not is_locked:
            if not has_told:
                logger.info("another process builds %s; waiting for it", place / name)
                has_told = True
            time.sleep(_POLL)


def new_workshop(place: Path, name: str) -> Path:
    """An empty folder to build an entry in."""
    return Path(tempfile.mkdtemp(prefix=f".{name}-{_HOST}-", suffix=_SUFFIX, dir=place))


def clear_abandoned(place: Path) -> None:
    """Remove the workshops whose builders are dead."""
    for path in place.glob(f".*-*-*{_SUFFIX}"):
        name, host, _ = path.name[1:].removesuffix(_SUFFIX).rsplit("-", 2)
        if _is_abandoned(place, name) if host == _HOST else _is_still(path):
            logger.info("removing %s, which its builder left unfinished", path)
            shutil.rmtree(path, ignore_errors=True)


def publish(workshop: Path, final: Path) -> None:
    """Put a finished folder in its place, unless another process was faster.

    Raises:
        OSError: It cannot be put there, or does not show up there.
    """
    _sync_tree(workshop)
    workshop.chmod(0o755)  # mkdtemp makes it private, but colleagues may share the data
    try:
        workshop.replace(final)
    except OSError:
        if not appears(final):
            raise
        logger.info("another process has built %s meanwhile; using that", final)
    if not appears(final):
        raise FileNotFoundError(
            f"{final} was put in place and cannot be seen after {VISIBLE_WITHIN:.0f} s; is its "
            "folder being deleted, or its file server not answering?"
        )


def appears(path: Path, within: float | None = None) -> bool:
    """Whether a name is there, or soon is: renames reach other clients of a file server late."""
    end = time.monotonic() + (VISIBLE_WITHIN if within is None else within)
    while not path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL)
        with suppress(OSError):
            os.listdir(path.parent)  # noqa: PTH208 - makes the client ask its server again
    return True


def reserve(folder: Path) -> None:
    """Have the disk space of all arrays of a folder now, where the file system can.

    Mapped arrays are files with holes; a disk that fills up while they are written would end the
    process without a word (SIGBUS).

    Raises:
        OSError: There is not enough.
    """
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is None:
        return
    for path in folder.rglob("*.npy"):
        size = path.stat().st_size
        if size:
            with path.open("r+b") as file:
                allocate(file.fileno(), 0, size)


def _lock_of(place: Path, name: str) -> Path:
    return place / f".{name}.lock"


def _try_lock(file: IO[str]) -> bool | None:
    """Whether the lock is ours now; None where the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_same(file: IO[str], path: Path) -> bool:
    """Whether a path still leads to an open file: its last holder may have removed it."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(file.fileno())
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _is_abandoned(place: Path, name: str) -> bool:
    path = _lock_of(place, name)
    try:
        with path.open("a") as file:
            is_free = _try_lock(file)
            if is_free is None:
                return False
            if is_free and _is_same(file, path):
                path.unlink(missing_ok=True)
            return is_free
    except OSError:
        return False


def _is_still(folder: Path) -> bool:
    with suppress(OSError):
        newest = max(p.stat().st_mtime for p in (folder, *folder.rglob("*")))
        return time.time() - newest > ABANDONED_AFTER
    return False


def _sync_tree(folder: Path) -> None:
    """Force files and names to the disk, so that a name in place always means whole content."""
    for path in (*folder.rglob("*"), folder):
        with suppress(OSError):  # some file systems refuse to sync folders
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
