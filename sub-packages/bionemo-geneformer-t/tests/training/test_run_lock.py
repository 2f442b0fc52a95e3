"""One process owns the folder of a run; others are refused by name, before they touch anything."""

import errno
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock, SoftFileLease

from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.training import run_lock
from bionemo.geneformer_t.training.run_lock import (
    LEASE,
    LOCK,
    FolderInUseError,
    is_first_process,
    owned,
)

OWNER = """
import os, sys, time
from pathlib import Path
from bionemo.geneformer_t.training.run_lock import owned
with owned(Path(sys.argv[1])):
    if os.fork():
        print("mine", flush=True)
    time.sleep(60)
"""


@contextmanager
def other_owner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns a folder, with a forked worker that lives on when it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "mine\n"
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LEASE
    }


def test_a_second_process_is_refused_by_name_and_a_killed_owner_leaves_the_folder_free(
    tiny_data_dir, tmp_path
):
    folder = tmp_path / "run"
    with other_owner(folder) as owner:
        (folder / "metrics.csv").write_text("step\n1\n")
        (folder / "config.yaml").write_text("seed: 1\n")
        before = content(folder)
        for resume in (None, "last"):
            with pytest.raises(FolderInUseError) as refused:
                train_temporal_geneformer(
                    data_dir=tiny_data_dir, output_dir=folder, resume_from_checkpoint=resume
                )
        assert f"process {owner.pid} on {socket.gethostname()} (since 20" in str(refused.value)
        assert content(folder) == before
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        start = time.monotonic()
        with owned(folder):  # its worker still sleeps
            facts = json.loads((folder / LOCK).read_text())
            assert facts["pid"] == os.getpid()
        assert time.monotonic() - start < 5
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "metrics.csv"]


def test_one_process_cannot_own_a_folder_twice(tmp_path):
    refused = pytest.raises(FolderInUseError, match=f"process {os.getpid()}")
    with owned(tmp_path / "run"), refused, owned(tmp_path / "run"):
        pass
    with owned(tmp_path / "run") as lock:
        pickle.loads(pickle.dumps(lock)).check()  # for processes that a strategy spawns
    assert not (tmp_path / "run").exists()


def test_a_folder_that_was_there_or_holds_something_stays(tmp_path):
    (tmp_path / "there").mkdir()
    with owned(tmp_path / "there"):
        pass
    with owned(tmp_path / "new" / "run"):
        (tmp_path / "new" / "run" / "file").touch()
    with pytest.raises(KeyError), owned(tmp_path / "made" / "run"):
        raise KeyError
    assert (tmp_path / "there").is_dir()
    assert (tmp_path / "new" / "run" / "file").exists()
    assert not (tmp_path / "made").exists()


def test_the_other_processes_of_a_distributed_run_share_the_lock_of_the_first(
    tmp_path, monkeypatch
):
    with owned(tmp_path / "run"):
        for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
            monkeypatch.setenv(name, "1")
            assert not is_first_process()
            with owned(tmp_path / "run") as lock:
                assert lock is None
            monkeypatch.setenv(name, "0")
        assert is_first_process()


def no_locks(*_, **__):
    raise OSError(errno.ENOLCK, "No locks available")


def test_on_a_disk_without_locks_the_lease_refuses_the_living_and_yields_for_the_dead(
    tmp_path, monkeypatch
):
    """Sped up: a lease of some seconds, as an owner on another computer would hold it."""
    monkeypatch.setattr(run_lock, "LEASE_SECONDS", 2.0)
    monkeypatch.setattr(FileLock, "acquire", no_locks)
    with owned(tmp_path / "run") as lock:
        assert lock is not None
        lock.check()
        theirs = SoftFileLease(tmp_path / "run" / LEASE, lease_duration=2.0)
        with pytest.raises(TimeoutError):
            theirs.acquire(timeout=2.5)  # it is refreshed
    # one that is refreshed no more, of a computer that nobody can ask
    dead = SoftFileLease(tmp_path / "run" / LEASE, lease_duration=2.0)
    (tmp_path / "run").mkdir()
    dead.acquire()
    dead._stop_heartbeat()
    text = (tmp_path / "run" / LEASE).read_text()
    (tmp_path / "run" / LEASE).write_text(text.replace(socket.gethostname(), "elsewhere"))
    start = time.monotonic()
    with owned(tmp_path / "run"):
        assert 1 < time.monotonic() - start < 10


def test_who_lost_the_folder_while_frozen_is_told_before_it_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "LEASE_SECONDS", 0.3)
    with owned(tmp_path / "run") as lock:
        assert lock is not None
        lock.check()
        lease = tmp_path / "run" / LEASE
        lease.rename(tmp_path / "old")
        theirs = SoftFileLease(lease, lease_duration=60.0)
        theirs.acquire(timeout=1)
        end = time.monotonic() + 5
        while lock._lease.compromise is None and time.monotonic() < end:
            time.sleep(0.05)
        with pytest.raises(FolderInUseError):
            lock.check()
        theirs.release()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    refused = pytest.raises(PermissionError, match=r"output_dir .*file/run cannot be written")
    with refused, owned(tmp_path / "file" / "run"):
        pass
