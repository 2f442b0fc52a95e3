import errno
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bionemo.geneformer_t.data.cache import (
    CACHE_VARIABLE,
    cache_places,
    load_or_compute,
    open_or_build,
)

find_or_build = partial(open_or_build, opened=Path)


def fill(folder: Path) -> None:
    (folder / "content").write_text("whole")


def test_the_preferred_place_is_the_one_asked_for_and_the_last_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "home" / ".cache" / "geneformer_t"
    assert cache_places(tmp_path) == (tmp_path / ".cache", own)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "from_environment"))
    assert cache_places(tmp_path) == (tmp_path / "from_environment", own)
    assert cache_places(tmp_path, tmp_path / "given") == (tmp_path / "given", own)
    assert cache_places(tmp_path, own) == (own,)


def test_a_user_without_a_home_has_no_own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert cache_places(tmp_path) == (tmp_path / ".cache",)
    assert (find_or_build("name", cache_places(tmp_path), fill) / "content").exists()


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    built = []
    for _ in range(2):
        path = find_or_build("name", [tmp_path], lambda folder: (built.append(1), fill(folder))[1])
    assert len(built) == 1
    assert (path / "content").read_text() == "whole"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise ValueError("bad data")

    with pytest.raises(ValueError, match="bad data"):
        find_or_build("name", [tmp_path], fail)
    assert not list(tmp_path.iterdir())


def test_whoever_comes_second_takes_the_first_one(tmp_path: Path) -> None:
    def overtaken(folder: Path) -> None:  # by a process on a file system without locks
        (tmp_path / "name").mkdir()
        fill(tmp_path / "name")
        (folder / "content").write_text("too late")

    path = find_or_build("name", [tmp_path], overtaken)
    assert (path / "content").read_text() == "whole"
    assert [child.name for child in tmp_path.iterdir()] == ["name"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_nothing_unfinished_is_left(tmp_path: Path, number: int) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=f"no space left for {tmp_path}/name .*{CACHE_VARIABLE}"):
        find_or_build("name", [tmp_path], fail)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_when_it_is_synced_gets_no_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Network file systems and quotas may report it as late as that."""

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=f"no space left for {tmp_path}/name .*{CACHE_VARIABLE}"):
        find_or_build("name", [tmp_path], fill)
    assert not list(tmp_path.iterdir())


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        find_or_build("name", [tmp_path], fail)


def test_an_entry_that_is_deleted_before_it_is_opened_is_built_again(tmp_path: Path) -> None:
    times = 0

    def opened(path: Path) -> str:
        nonlocal times
        times += 1
        if times == 1:
            shutil.rmtree(path)
        return (path / "content").read_text()

    assert open_or_build("name", [tmp_path], fill, opened) == "whole"


def test_an_entry_that_is_not_whole_is_built_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "name").mkdir()
    assert open_or_build("name", [tmp_path], fill, lambda p: (p / "content").read_text()) == "whole"
    assert "is not whole" in caplog.text
    assert [child.name for child in tmp_path.iterdir()] == ["name"]


def test_an_entry_that_cannot_be_opened_even_when_new_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"):
        open_or_build("name", [tmp_path], fill, lambda path: (path / "other").read_text())


def test_a_place_that_cannot_be_written_to_is_passed_over(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    assert find_or_build("name", [blocked, tmp_path / "other"], fill).parent == tmp_path / "other"
    with pytest.raises(PermissionError, match=f"tried {blocked}.*{CACHE_VARIABLE}"):
        find_or_build("name", [blocked], fill)


def test_an_array_is_kept_where_possible(tmp_path: Path) -> None:
    for compute in (lambda: np.arange(3), lambda: np.arange(5)):
        kept = load_or_compute(tmp_path / "array", compute)
        assert kept.tolist() == [0, 1, 2]
    nowhere = tmp_path / "missing" / "array"
    assert load_or_compute(nowhere, lambda: np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    (tmp_path / "array" / "array.npy").write_bytes(b"damaged")
    assert load_or_compute(tmp_path / "array", lambda: np.arange(3)).tolist() == [0, 1, 2]
    assert [child.name for child in tmp_path.iterdir()] == ["array"]


def test_a_system_that_knows_no_home_has_a_cache_beside_the_data(tmp_path, monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("GENEFORMER_T_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", home)
    assert cache_places(tmp_path) == (tmp_path / ".cache",)
