"""One process at a time owns the folder of a run.

Two locks of the library filelock, because no single one holds everywhere. The system's own (flock)
is free at once when its process ends, however it ends, but some network file systems have none, or
one for each computer. A lease is a file with the owner's process and computer, refreshed while the
owner lives: it holds on any disk, and ends some seconds after its owner. Forked workers keep
neither. All processes of a distributed run share those of the first one. Reading needs no lock.
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
"""Time without a sign of life after which a lease is over; signs come three times as often."""
_MOMENT = 1.0
"""Seconds that a lock may take to be given back by a process that has just ended."""
_RANKS = (
    "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK",
    "OMPI_COMM_WORLD_RANK", "PMI_RANK",
)  # fmt: skip
"""Where launchers tell a process which of them all it is."""


class FolderInUseError(OSError):
    """Another process trains into this folder."""


class RunLock:
    """Holds the folder of a run; use `owned`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # a colleague may write to it too, or one that is left by a kill would shut the folder
        self._lock = FileLock(folder / LOCK, mode=0o666, fallback_to_soft=False)
        self._lease = SoftFileLease(folder / LEASE, lease_duration=LEASE_SECONDS)
        self._token: str | None = None

    def __reduce__(self) -> tuple[type["RunLock"], tuple[Path]]:
        """Spawned processes of the same run get one that watches nothing; the first one does."""
        return RunLock, (self.folder,)

    def acquire(self) -> None:
        """Take the folder, or say who has it.

        Raises:
            FolderInUseError: Another process has it.
            PermissionError: The folder cannot be written.
        """
        try:
            self._lock.acquire(timeout=_MOMENT)
        except Timeout as error:
            raise self._in_use() from error
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            logger.info("the disk of %s has no locks; its lease alone guards it", self.folder)
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
        """Refuse to write on where another process has taken the folder meanwhile.

        That takes a process that was frozen for longer than the lease, on a disk whose locks other
        computers do not see.

        Raises:
            FolderInUseError: It has.
        """
        if self._lease.compromise is None:
            return
        owner = self._lease.owner
        if owner is not None and owner.token != self._token:
            raise self._in_use()

    def release(self) -> None:
        """Give the folder back."""
        self._lease.release()
        (self.folder / LOCK).unlink(missing_ok=True)
        self._lock.release()

    def _in_use(self) -> FolderInUseError:
        who = "another process"
        for _ in range(20):  # the owner may be about to write down who it is
            with suppress(OSError, ValueError, KeyError, TypeError):
                facts = json.loads((self.folder / LOCK).read_text(encoding="utf-8"))
                who = f"process {facts['pid']} on {facts['host']} (since {facts['since']})"
                break
            time.sleep(_MOMENT / 20)
        return FolderInUseError(
            f"output_dir {self.folder} is in use: {who} trains into it. Nothing was touched. Wait "
            "until that run ends, stop it, or choose another folder"
        )


@contextmanager
def owned(folder: Path) -> Iterator[RunLock | None]:
    """Own a folder while the context lasts; it is made where it is missing.

    If it was made here and is still empty in the end, it is removed.

    Yields:
        The lock; None in a process that is not the first of a distributed run, which shares its.

    Raises:
        FolderInUseError: Another process owns it.
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
        with suppress(OSError):  # one that holds something stays
            for path in made:
                path.rmdir()


def is_first_process() -> bool:
    """Whether this process is the first of a distributed run, or the only one of another."""
    return all(os.environ.get(name, "0") in {"0", ""} for name in _RANKS)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
