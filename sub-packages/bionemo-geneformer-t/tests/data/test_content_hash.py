"""A name follows content and nothing else; what is remembered is never taken for other content."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset

from bionemo.geneformer_t.data import content_hash
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.content_hash import MEMORY, content_digest, fingerprint
from bionemo.geneformer_t.data.successor_cache import cached_successors

WriteSplit = Callable[..., Path]


def write_back(file: Path, content: bytes) -> None:
    """Write in place, with size and times as they were."""
    status = file.stat()
    assert len(content) == status.st_size
    with file.open("r+b") as stream:
        stream.write(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def flipped(file: Path, place: int) -> bytes:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    return bytes(content)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that is large enough to be remembered, and was written long enough ago."""
    file = tmp_path / "data"
    file.write_bytes(bytes(content_hash.ALWAYS_READ + 1))
    return file


@pytest.fixture
def all_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written long ago."""
    monkeypatch.setattr(content_hash, "SETTLED_AFTER", -1e9)


def test_the_name_follows_content_names_and_meaning_but_no_time(large: Path) -> None:
    names = {fingerprint([large], "format 1"), fingerprint([large], "format 2")}
    for place in (0, 700_001, -1):
        write_back(large, flipped(large, place))
        names.add(fingerprint([large], "format 1"))
    os.utime(large, (0, 0))
    assert fingerprint([large], "format 1") in names
    names.add(fingerprint([large.rename(large.with_name("other"))], "format 1"))
    assert len(names) == 6


def test_the_same_files_in_another_folder_have_the_same_name_and_others_in_place_do_not(
    tmp_path: Path,
) -> None:
    files = [tmp_path / "a" / "x", tmp_path / "a" / "deep" / "y"]
    files[1].parent.mkdir(parents=True)
    files[0].write_text("1")
    files[1].write_text("2")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copies = [tmp_path / "b" / "x", tmp_path / "b" / "deep" / "y"]
    assert fingerprint(copies) == fingerprint(files)
    copies[0].write_text("2")
    copies[1].write_text("1")
    assert fingerprint(copies) != fingerprint(files)


@pytest.mark.usefixtures("all_settled")
def test_a_hash_is_remembered_until_the_file_changes_whatever_its_times_say(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    original = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, name: (read.append(1), original(file, name))[1]
    )
    places = (tmp_path / "cache",)
    for _ in range(3):
        digest = content_digest(large, places)
        assert digest == hashlib.sha256(large.read_bytes()).hexdigest()
    assert len(read) == 1
    time.sleep(0.02)  # clocks of file systems tick every 1 to 10 ms
    write_back(large, flipped(large, 700_001))
    assert content_digest(large, places) == hashlib.sha256(large.read_bytes()).hexdigest() != digest
    copy = shutil.copy2(large, tmp_path / "copy")
    assert content_digest(Path(copy), places) == content_digest(large, places)
    assert len(read) == 3
    assert len(list((tmp_path / "cache" / MEMORY).iterdir())) == 2  # one for each file


def test_what_changed_just_now_is_read_each_time(large: Path, tmp_path: Path) -> None:
    """Two writes may leave one ctime where they are less than a tick of the clock apart."""
    content_digest(large, [tmp_path / "cache"])
    assert not (tmp_path / "cache").exists()
    content_digest(large, [tmp_path / "cache"], is_complete=True)
    assert len(list((tmp_path / "cache" / MEMORY).iterdir())) == 1


@pytest.mark.usefixtures("all_settled")
@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b'[[1, 2, 3, 4, 5], "x"]'])
def test_a_damaged_memory_is_not_believed(large: Path, tmp_path: Path, content: bytes) -> None:
    expected = content_digest(large, [tmp_path])
    (record,) = (tmp_path / MEMORY).iterdir()
    record.write_bytes(content)
    assert content_digest(large, [tmp_path]) == expected


@pytest.mark.usefixtures("all_settled")
def test_without_a_place_to_remember_it_is_read_each_time(large: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    places = [tmp_path / "blocked", tmp_path / "other"]
    assert content_digest(large, places) == content_digest(large, places[:1])
    assert [path.name for path in (tmp_path / "other").iterdir()] == [MEMORY]


@pytest.mark.usefixtures("all_settled")
def test_files_of_read_only_images_are_read_each_time(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all times are whole seconds, another image may have the same numbers throughout."""
    monkeypatch.setattr(content_hash, "_may_be_in_an_image", lambda *_: True)
    content_digest(large, [tmp_path / "cache"])
    assert not (tmp_path / "cache").exists()


def totals_of(split: Path, cache: Path | None = None) -> list[int]:
    return CellStore.open(split, cache).total_counts.tolist()


def set_value(split: Path, value: float) -> None:
    """Change one count of data.h5ad in place, with size and times as they were."""
    import h5py

    status = (split / "data.h5ad").stat()
    with h5py.File(split / "data.h5ad", "r+") as file:
        file["X/data"][-1] = value
    assert (split / "data.h5ad").stat().st_size == status.st_size
    os.utime(split / "data.h5ad", ns=(status.st_atime_ns, status.st_mtime_ns))


def test_counts_that_are_edited_in_place_are_read(write_split: WriteSplit) -> None:
    split = write_split(np.full((5, 4), 2))
    assert totals_of(split) == [8] * 5
    set_value(split, 100)
    assert totals_of(split) == [8, 8, 8, 8, 106]
    set_value(split, 2)
    assert totals_of(split) == [8] * 5
    assert len(list((split / ".cache").glob("[!.]*"))) == 2


@pytest.mark.usefixtures("all_settled")
def test_large_counts_that_are_edited_in_place_are_read(
    write_split: WriteSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_hash, "ALWAYS_READ", 100)
    test_counts_that_are_edited_in_place_are_read(write_split)


def test_two_data_sets_of_one_size_and_time_in_one_cache_stay_apart(
    write_split: WriteSplit, tmp_path: Path
) -> None:
    splits = [write_split(np.full((5, 4), value), folder=f"split{value}") for value in (2, 3)]
    for split in splits:
        os.utime(split / "data.h5ad", (0, 0))
    assert len({(split / "data.h5ad").stat().st_size for split in splits}) == 1
    totals = [totals_of(split, tmp_path / "cache") for split in splits]
    assert totals == [[8] * 5, [12] * 5]
    copy = tmp_path / "copy"
    shutil.copytree(splits[0], copy)
    assert totals_of(copy, tmp_path / "cache") == [8] * 5
    assert len(list((tmp_path / "cache").iterdir())) == 2  # the copy shares its entry


def test_an_archive_that_is_edited_in_place_is_read(
    write_split: WriteSplit, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    h5ad = write_split(np.full((5, 4), 2)) / "data.h5ad"
    SingleCellMemMapDataset(str(archive), str(h5ad), use_X_not_raw=True)
    assert totals_of(archive) == [8] * 5
    data = archive / "data.npy"
    write_back(data, np.array([2] * 19 + [9], dtype=np.float32).tobytes())
    assert totals_of(archive) == [8, 8, 8, 8, 15]


@pytest.mark.parametrize("where", ["neighbors.json", "obsp"])
def test_successors_that_are_edited_in_place_are_read(write_split: WriteSplit, where: str) -> None:
    graph = np.zeros((5, 5), dtype=np.float32)
    graph[0, 1] = 1
    if where == "obsp":
        split = write_split(obsp={"next": graph})
    else:
        split = write_split(neighbors={"next": {"c0": ["c1"]}})
    store = CellStore.open(split)
    assert cached_successors(split, store, "next")[0].indices.tolist() == [1]
    if where == "obsp":
        file = split / "data.h5ad"
        status = file.stat()
        data = anndata.read_h5ad(file)
        data.obsp["next"] = np.roll(graph, 2, axis=1)
        data.write_h5ad(file)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        file = split / "neighbors.json"
        write_back(file, file.read_bytes().replace(b'"c1"', b'"c3"'))
    assert cached_successors(split, store, "next")[0].indices.tolist() == [3]
