"""The lock of a cache entry: one process builds it, and the log of the others says which.

The lock is the system's (`flock`) on a file beside the entry, so that it ends with its holder,
however that ends. The package filelock opens lock files for writing, and refuses one that another
user's killed process left behind; here such a file is opened for reading, which is enough to lock
it, and replaced.
"""

import errno
import fcntl
import json
import logging
import os
import pwd
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bionemo.geneformer_t.data.shared_modes import share_like

logger = logging.getLogger(__name__)

WAIT_VARIABLE = "GENEFORMER_T_CACHE_WAIT"
"""Environment variable: seconds to wait for another process that builds an entry."""
WAIT_AT_MOST = 6 * 3600.0
"""Seconds, where the variable is not set."""
_POLL = 0.1
_REMIND_EVERY = 600.0


@contextmanager
def only_builder(place: Path, name: str) -> Iterator[None]:
    """Wait until no other process builds this entry.

    On file systems without locks, and where another user's lock cannot be opened, there is no
    waiting: several may build, and the first to finish counts.

    Args:
        place: The folder of all entries; it can be written to.
        name: The entry.

    Raises:
        OSError: The place cannot be written to.
        TimeoutError: Another process has been building it for too long; says which.
        ValueError: The environment variable holds no number of seconds.
    """
    path = _lock_of(place, name)
    patience, began, remind = _patience(), time.monotonic(), 0.0
    while True:
        descriptor, can_sign = _open(path)
        try:
            is_ours = None if descriptor is None else _try_lock(descriptor)
            if descriptor is None or is_ours is None:
                yield
                return
            if is_ours and _is_same(descriptor, path):
                if not can_sign and _remove(path):
                    continue  # another user's: have one of our own, which others can open
                _sign(descriptor)
                try:
                    yield
                finally:
                    _remove(path)
                return
            waited = time.monotonic() - began
            if not is_ours and waited >= patience:
                raise TimeoutError(
                    f"{place / name} has been waited for {waited:,.0f} s: {_holder(descriptor)} "
                    "builds it. End that process if it hangs, name another folder with cache_dir "
                    f"or GENEFORMER_T_CACHE, or wait longer ({WAIT_VARIABLE}, in seconds)"
                )
            if not is_ours and waited >= remind:
                remind = waited + _REMIND_EVERY
                logger.info("waiting for %s: %s builds it", place / name, _holder(descriptor))
        finally:
            if descriptor is not None:
                os.close(descriptor)
        if not is_ours:
            time.sleep(_POLL)


def _lock_of(place: Path, name: str) -> Path:
    return place / f".{name}.lock"


def _patience() -> float:
    given = os.environ.get(WAIT_VARIABLE)
    if not given:
        return WAIT_AT_MOST
    with suppress(ValueError):
        if (seconds := float(given)) >= 0:
            return seconds
    raise ValueError(f"{WAIT_VARIABLE} must be a number of seconds, at least 0; got {given!r}")


def _open(path: Path) -> tuple[int | None, bool]:
    """The lock file, made where there is none, and whether it can be written to.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        for flags in (os.O_RDWR, os.O_RDONLY):
            try:
                return os.open(path, flags | os.O_CLOEXEC), flags == os.O_RDWR
            except FileNotFoundError:
                break
            except PermissionError:
                continue
        else:
            logger.debug("%s is another user's and cannot be opened", path)
            return None, False
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            share_like(path.parent, path)
            return descriptor, True


def _try_lock(descriptor: int) -> bool | None:
    """Whether the lock is ours now; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        return False if error.errno == errno.EACCES else None
    return True


def _is_same(descriptor: int, path: Path) -> bool:
    """Whether a path still leads to an open file: its last holder may have removed it."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # in a folder with the sticky bit, another user's file stays
        return False
    return True


def _sign(descriptor: int) -> None:
    """Write down who holds the lock, for those who wait."""
    signature = {
        "user": _user_name(os.getuid()),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": time.time(),
    }
    with suppress(OSError):  # a full disk, or another user's file: waiting works without
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(signature).encode(), 0)


def _holder(descriptor: int) -> str:
    """User, process, computer and age, as far as the lock file has them."""
    try:
        signature = json.loads(os.pread(descriptor, 1 << 12, 0))
        user, host = str(signature["user"])[:80], str(signature["host"])[:80]
        pid, age = int(signature["pid"]), time.time() - float(signature["since"])
    except (OSError, ValueError, TypeError, KeyError):
        return f"another process of user {_user_name(os.fstat(descriptor).st_uid)}"
    return f"user {user} (process {pid} on {host}, for {age:,.0f} s)"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
