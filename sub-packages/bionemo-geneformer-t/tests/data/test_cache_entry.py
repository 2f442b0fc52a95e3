"""Builders that die, meet, or work where names appear late; with real processes."""

import errno
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from bionemo.geneformer_t.data import cache_entry
from bionemo.geneformer_t.data.cache import open_or_build
from bionemo.geneformer_t.data.cache_entry import (
    MANIFEST,
    _seal,
    appears,
    damage,
    new_entry,
)
from bionemo.geneformer_t.files import remove_abandoned, whole_folder

find_or_build = partial(open_or_build, opened=Path)

BUILDER = """
import sys, time
from pathlib import Path
from bionemo.geneformer_t.data.cache import open_or_build

place, seconds = Path(sys.argv[1]), float(sys.argv[2])

def build(folder):
    (folder / "half").write_text("of it")
    with (place / "builds").open("a") as file:
        file.write("x")
    time.sleep(seconds)
    (folder / "content").write_text("whole")

print(open_or_build("name", [place], build, Path))
"""


def start_builder(place: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(place), str(seconds)], stdout=subprocess.PIPE, text=True
    )


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def builds(place: Path) -> int:
    return len((place / "builds").read_text()) if (place / "builds").exists() else 0


def fill(folder: Path) -> None:
    (folder / "content").write_text("whole")


def test_what_a_killed_builder_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = start_builder(tmp_path, 60)
    wait_for(lambda: builds(tmp_path))
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "name").exists()
    assert len(list(tmp_path.iterdir())) == 3  # the half-built one, its lock, and our count
    path = find_or_build("name", [tmp_path], fill)
    assert (path / "content").read_text() == "whole"
    assert {child.name for child in tmp_path.iterdir()} == {"name", "builds"}


def test_of_two_processes_one_builds_and_the_other_waits(tmp_path: Path) -> None:
    both = [start_builder(tmp_path, 1.0) for _ in range(2)]
    paths = [process.communicate(timeout=60)[0].strip() for process in both]
    assert paths == [str(tmp_path / "name")] * 2
    assert builds(tmp_path) == 1
    assert (tmp_path / "name" / "content").read_text() == "whole"


def test_who_waits_for_a_builder_that_is_killed_builds_itself(tmp_path: Path) -> None:
    killed = start_builder(tmp_path, 60)
    wait_for(lambda: builds(tmp_path))
    waiting = start_builder(tmp_path, 0)
    time.sleep(0.5)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert waiting.communicate(timeout=60)[0].strip() == str(tmp_path / "name")
    assert builds(tmp_path) == 2


def test_a_living_builder_is_left_alone(tmp_path: Path) -> None:
    living = start_builder(tmp_path, 2.0)
    wait_for(lambda: builds(tmp_path))
    assert not remove_abandoned(tmp_path)
    living.communicate(timeout=60)
    assert (tmp_path / "name" / "half").exists()


def test_without_locks_it_is_built_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with whole_folder(tmp_path / "other") as left:
        assert (find_or_build("name", [tmp_path], fill) / "content").exists()
        assert left.exists()  # its builder may be alive


def test_names_in_a_manifest_are_no_paths(tmp_path: Path) -> None:
    """They are looked up among the entry's own files; one that is not there is damage."""
    entry = find_or_build("name", [tmp_path / "place"], fill)
    outside = tmp_path / "outside"
    outside.write_bytes(b"")
    for name in ("../../outside", str(outside)):
        files = {name: [0, hashlib.sha256(b"").hexdigest()]}
        content = json.dumps({"files": files, "sha256": _seal(files)})
        (entry / MANIFEST).write_text(content)
        assert damage(entry) == f"{name} is missing"


@pytest.mark.parametrize(
    "content", ["", "[]", "null", "{}", '{"files": 3}', "[" * 100_000, "\udcff"]
)
def test_a_manifest_that_is_none_is_damage(tmp_path: Path, content: str) -> None:
    entry = find_or_build("name", [tmp_path], fill)
    assert damage(entry) is None
    (entry / MANIFEST).write_text(content, errors="surrogateescape")
    assert damage(entry) == f"{MANIFEST} does not hold what was written"


def test_a_name_may_appear_late(tmp_path: Path) -> None:
    late = threading.Timer(0.3, (tmp_path / "late").mkdir)
    late.start()
    assert appears(tmp_path / "late")
    assert not appears(tmp_path / "never", within=0.2)


def test_a_faster_builders_folder_may_appear_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file server shows it: our rename is refused by a folder that we do not see yet."""
    theirs = tmp_path / "name"

    def refuse(*_: object) -> None:
        threading.Timer(0.3, theirs.mkdir).start()
        raise OSError(errno.ENOTEMPTY, "Directory not empty")

    with new_entry(theirs):
        monkeypatch.setattr(Path, "rename", refuse)
    assert theirs.is_dir()


def test_a_name_that_never_appears_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_entry, "VISIBLE_WITHIN", 0.2)
    message = "cannot be seen after 0 s"
    with pytest.raises(FileNotFoundError, match=message), new_entry(tmp_path / "name"):
        monkeypatch.setattr(Path, "rename", lambda *_: None)


def test_a_folder_that_cannot_be_put_in_place_is_the_systems_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with pytest.raises(OSError, match="Read-only file system"), new_entry(tmp_path / "name"):
        monkeypatch.setattr(Path, "rename", refuse)
