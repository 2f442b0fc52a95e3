"""A cache that several users share: locks of the dead, who waits for whom, rights, and refusals.

Other users are child processes that give up root's rights.
"""

import contextlib
import errno
import fcntl
import json
import logging
import multiprocessing
import os
import shutil
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bionemo.geneformer_t.data.cache import CACHE_VARIABLE, open_or_build
from bionemo.geneformer_t.data.cache_entry import MANIFEST, damage
from bionemo.geneformer_t.data.cache_lock import WAIT_VARIABLE, only_builder
from bionemo.geneformer_t.data.shared_modes import make_folder
from bionemo.geneformer_t.files import whole_folder

find_or_build = partial(open_or_build, opened=Path)
ANNA, BERT, GROUP = 54321, 54322, 54300

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can act as two other users, which this test needs"
)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can reach; those of pytest are private."""
    folder = Path(tempfile.mkdtemp(prefix="geneformer_t_shared_"))
    folder.chmod(0o755)
    place = folder / "cache"
    place.mkdir()
    os.chown(place, -1, GROUP if os.geteuid() == 0 else -1)
    place.chmod(0o2775)
    yield place
    shutil.rmtree(folder)


def _act(uid: int, home: Path, do: Callable[..., Any], args: tuple[Any, ...], results: Any) -> None:
    try:
        os.setgroups([GROUP])
        os.setgid(uid)
        os.setuid(uid)
        os.umask(0o022)
        os.environ["HOME"] = str(home)
        results.put(do(*args))
    except BaseException:  # noqa: BLE001 - the parent's assertion shows it
        results.put(traceback.format_exc())


def as_user(uid: int, do: Callable[..., Any], *args: Any) -> Any:
    """What a function returns in a process of another user, whose home is a temporary folder."""
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, uid, uid)
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        process = context.Process(target=_act, args=(uid, Path(home), do, args, results))
        process.start()
        result = results.get(timeout=60)
        process.join()
    assert not isinstance(result, str) or "Traceback" not in result, result
    return result


def fill(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "content").write_text("whole")


def build(place: Path) -> str:
    return str(find_or_build("name", [place, Path(os.environ["HOME"]) / "own"], fill))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@needs_root
@pytest.mark.parametrize("rights", [0o644, 0o600, 0o666])
def test_a_dead_builders_lock_shuts_no_other_user_out(shared: Path, rights: int) -> None:
    lock = shared / ".name.lock"
    lock.touch()
    os.chown(lock, ANNA, ANNA)
    lock.chmod(rights)
    assert as_user(BERT, build, shared) == str(shared / "name")
    assert lock.exists() == (
        rights == 0o600
    )  # nobody but its owner can say whether that one is free


@needs_root
def test_in_a_folder_with_the_sticky_bit_a_dead_builders_lock_stays_and_harms_nobody(
    shared: Path,
) -> None:
    shared.chmod(0o1777)
    lock = shared / ".name.lock"
    lock.touch()
    os.chown(lock, ANNA, ANNA)
    assert as_user(BERT, build, shared) == str(shared / "name")
    assert lock.exists()


@needs_root
def test_a_living_builder_of_another_user_is_waited_for(shared: Path) -> None:
    """Its lock can only be read; that is enough to see that it is held."""
    lock = shared / ".name.lock"
    with lock.open("w") as file:
        lock.chmod(0o644)
        fcntl.flock(file, fcntl.LOCK_EX)
        message = as_user(BERT, wait_briefly, shared)
    assert "user root builds it" in message.replace("another process of ", "")


def wait_briefly(place: Path) -> str:
    os.environ[WAIT_VARIABLE] = "0.2"
    try:
        find_or_build("name", [place], fill)
    except TimeoutError as error:
        return str(error)
    return "built"


def test_who_waits_says_for_whom_and_ends_after_the_time_that_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv(WAIT_VARIABLE, "0.3")
    with only_builder(tmp_path, "name"):
        lock = tmp_path / ".name.lock"
        signature = json.loads(lock.read_text())
        assert signature["pid"] == os.getpid()
        lock.write_text(json.dumps({**signature, "user": "anna", "since": signature["since"] - 90}))
        whom = rf"user anna \(process {os.getpid()} on {signature['host']}, for 9\d s\) builds it"
        with pytest.raises(TimeoutError, match=rf"{tmp_path}/name has .* {whom}.*{CACHE_VARIABLE}"):
            find_or_build("name", [tmp_path], fill)
        lock.write_text("damaged")
        with pytest.raises(TimeoutError, match=r"another process of user \w+ builds it"):
            find_or_build("name", [tmp_path], fill)
    (line,) = [r.message for r in caplog.records if "user anna" in r.message]
    assert line.startswith(f"waiting for {tmp_path}/name")
    assert (find_or_build("name", [tmp_path], fill) / "deep" / "content").exists()


@pytest.mark.parametrize("given", ["soon", "-1", "nan"])
def test_a_time_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv(WAIT_VARIABLE, given)
    with pytest.raises(ValueError, match=f"{WAIT_VARIABLE} must be a number of seconds.*{given}"):
        find_or_build("name", [tmp_path], fill)


@needs_root
def test_what_one_member_of_a_group_builds_the_others_can_use_and_replace(shared: Path) -> None:
    assert as_user(ANNA, build, shared) == str(shared / "name")
    entry = shared / "name"
    for path in (entry, entry / "deep"):
        assert (path.stat().st_gid, mode(path)) == (GROUP, 0o2775)
    for path in (entry / "deep" / "content", entry / MANIFEST):
        assert (path.stat().st_gid, mode(path)) == (GROUP, 0o664)
    (entry / "deep" / "content").write_text("wrong")
    assert as_user(BERT, build, shared) == str(entry)
    assert damage(entry) is None
    assert entry.stat().st_uid == BERT
    assert {path.name for path in shared.iterdir()} == {"name"}


@needs_root
def test_what_another_user_left_unfinished_shuts_nobody_out(shared: Path) -> None:
    left = as_user(ANNA, leave_unfinished, shared)
    assert as_user(BERT, build, shared) == str(shared / "name")
    assert {path.name for path in shared.iterdir()} == {"name", left}


def leave_unfinished(place: Path) -> str:
    with whole_folder(place / "name") as folder:
        left = folder.parent.with_name(folder.parent.name + "0")
        shutil.copytree(folder.parent, left)  # as a killed process would leave it, locked by nobody
    return left.name


@needs_root
def test_where_the_group_may_not_write_the_umask_decides(shared: Path) -> None:
    os.chown(shared, ANNA, ANNA)
    shared.chmod(0o700)
    assert as_user(ANNA, build, shared) == str(shared / "name")
    assert mode(shared / "name") == 0o755
    assert mode(shared / "name" / "deep" / "content") == 0o644


def test_a_folder_that_is_made_for_a_cache_inherits_the_groups_rights(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    make_folder(shared / "split" / ".cache")
    for path in (shared / "split", shared / "split" / ".cache"):
        assert mode(path) & 0o2770 == 0o2770
    shared.chmod(0o700)
    make_folder(shared / "other" / ".cache")
    assert not mode(shared / "other" / ".cache") & 0o020


@needs_root
def test_an_entry_that_cannot_be_read_or_replaced_gives_way_to_the_users_own_with_a_note(
    shared: Path,
) -> None:
    assert as_user(ANNA, build, shared) == str(shared / "name")
    shared.chmod(0o755)
    (shared / "name" / "deep" / "content").chmod(0o600)
    path, notes = as_user(BERT, build_and_listen, shared)
    assert path.endswith("/own/name")
    assert len(notes) == 2
    assert "is not whole (it cannot be read: Permission denied) and cannot be replaced" in notes[0]
    assert "converted data are kept in" in notes[1]
    assert damage(shared / "name") is None  # as root reads it


@needs_root
def test_a_damaged_entry_of_another_user_under_the_sticky_bit_gives_way_to_the_users_own(
    shared: Path,
) -> None:
    shared.chmod(0o1777)
    assert as_user(ANNA, build, shared) == str(shared / "name")
    (shared / "name" / "deep" / "content").write_text("wrong")
    path, notes = as_user(BERT, build_and_listen, shared)
    assert path.endswith("/own/name")
    assert "does not hold what was written) and cannot be replaced (name in it" in notes[-2]


def build_and_listen(place: Path) -> tuple[str, list[str]]:
    notes: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: notes.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("bionemo.geneformer_t.data.cache").addHandler(handler)
    return build(place), notes


def test_a_place_that_was_asked_for_and_cannot_be_used_gives_way_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    places = (tmp_path / "blocked", tmp_path / "own")
    for _ in range(2):
        content = open_or_build("name", places, fill, lambda p: (p / "deep/content").read_text())
        assert content == "whole"
    (note,) = [r.message for r in caplog.records]
    assert note == (
        f"converted data are kept in {tmp_path}/own, not in {tmp_path}/blocked (it is no folder)"
    )


def test_without_locks_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with only_builder(tmp_path, "name"), only_builder(tmp_path, "name"):
        pass
    assert {path.name for path in tmp_path.iterdir()} <= {".name.lock"}


def test_a_lock_ends_with_an_error_inside(tmp_path: Path) -> None:
    with contextlib.suppress(KeyError), only_builder(tmp_path, "name"):
        raise KeyError
    assert not list(tmp_path.iterdir())
