"""The lock of a run's folder: one process at a time trains in it.

There are two locks of the library filelock, because neither works everywhere. The system's lock
(flock) is released as soon as its process ends, but some network file systems have none, or a
separate one for each computer. A lease is a file with the owner's process and computer, which is
refreshed while the owner is alive. It works on any disk, and expires some seconds after its owner
has ended. Forked workers keep neither. All processes of a distributed run share those of the first
one. Reading needs no lock.
"""

import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, SoftFileLease, Timeout

from bionemo.geneformer_t.files import NO_LOCKS

logger = logging.getLogger(__name__)

LOCK, LEASE = ".run.lock", ".run.lease"
LEASE_SECONDS = 30.0
"""Seconds after which a lease expires, unless its owner refreshes it, three times as often."""
_MOMENT = 1.0
"""Seconds until the lock of a process that has just ended is released."""
_RANKS = (
    "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK",
    "OMPI_COMM_WORLD_RANK", "PMI_RANK",
)  # fmt: skip
"""Environment variables in which launchers set the rank of a process."""


class FolderInUseError(OSError):
    """Another process trains in this folder."""


class RunLock:
    """The lock of a run's folder; use `owned`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # writable for all, or a lock left by a killed process would block other users
        self._lock = FileLock(folder / LOCK, mode=0o666, fallback_to_soft=False)
        self._lease = SoftFileLease(folder / LEASE, lease_duration=LEASE_SECONDS)
        self._token: str | None = None

    def __reduce__(self) -> tuple[type["RunLock"], tuple[Path]]:
        """Spawned processes of the same run get one that is not held; only the first holds it."""
        return RunLock, (self.folder,)

    def acquire(self) -> None:
        """Lock the folder, or raise an error that names the owner.

        Raises:
            FolderInUseError: Another process holds the lock.
            PermissionError: The folder cannot be written.
        """
        try:
            self._lock.acquire(timeout=_MOMENT)
        except Timeout as error:
            raise self._in_use() from error
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            logger.info("the disk of %s has no file locks; only a lease protects it", self.folder)
        try:
            self._take_lease()
        except BaseException:
            self._lock.release()
            raise
        self._token = self._lease.token
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}
        (self.folder / LOCK).write_text(json.dumps(facts), encoding="utf-8")

    def _take_lease(self) -> None:
        try:
            self._lease.acquire(timeout=_MOMENT)
        except Timeout:
            owner = self._lease.owner
            who = f"process {owner.pid} on {owner.hostname}" if owner else "another process"
            logger.warning(
                "%s was left by %s; waiting up to %.0f s for a sign of life",
                self.folder, who, LEASE_SECONDS,
            )  # fmt: skip
            try:
                self._lease.acquire(timeout=LEASE_SECONDS + 10, poll_interval=1)
            except Timeout as error:
                raise self._in_use() from error

    def check(self) -> None:
        """Raise an error if another process has locked the folder in the meantime.

        This happens if this process was suspended for longer than the lease, on a disk whose file
        locks are not visible to other computers.

        Raises:
            FolderInUseError: Another process has locked it.
        """
        if self._lease.compromise is None:
            return
        owner = self._lease.owner
        if owner is not None and owner.token != self._token:
            raise self._in_use()

    def release(self) -> None:
        """Release the folder."""
        self._lease.release()
        (self.folder / LOCK).unlink(missing_ok=True)
        self._lock.release()

    def _in_use(self) -> FolderInUseError:
        who = "another process"
        for _ in range(20):  # the owner may not have written its name yet
            with suppress(OSError, ValueError, KeyError, TypeError):
                facts = json.loads((self.folder / LOCK).read_text(encoding="utf-8"))
                who = f"process {facts['pid']} on {facts['host']} (since {facts['since']})"
                break
            time.sleep(_MOMENT / 20)
        return FolderInUseError(
            f"output_dir {self.folder} is in use: {who} is training in it. Nothing was changed. "
            "Wait until that run ends, stop it, or choose another folder"
        )


@contextmanager
def owned(folder: Path) -> Iterator[RunLock | None]:
    """Lock a folder while the context lasts; a missing folder is created.

    If it was created here and is still empty at the end, it is removed.

    Yields:
        The lock; None in the other processes of a distributed run, which share that of the first.

    Raises:
        FolderInUseError: Another process holds the lock.
        PermissionError: It cannot be written.
    """
    if not is_first_process():
        yield None
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = RunLock(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except FolderInUseError:
        raise
    except OSError as error:
        raise PermissionError(
            f"output_dir {folder} cannot be written ({error}); choose a folder you own"
        ) from error
    try:
        yield lock
    finally:
        lock.release()
        with suppress(OSError):  # a folder that is not empty is kept
            for path in made:
                path.rmdir()


def is_first_process() -> bool:
    """Whether this process is the first of a distributed run, or the only one of another run."""
    return all(os.environ.get(name, "0") in {"0", ""} for name in _RANKS)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
