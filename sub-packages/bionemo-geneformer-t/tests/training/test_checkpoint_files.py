"""A checkpoint is whole or not there, whatever happens while it is written."""

import errno
import os
from pathlib import Path

import pytest
import torch

from bionemo.geneformer_t.training import checkpoint_files
from bionemo.geneformer_t.training.checkpoint_files import (
    DamagedCheckpointError,
    SafeCheckpointIO,
    newest_intact,
    prune,
    read_intact,
    remove_partial,
)


def content(step: int, size: int = 1000) -> dict:
    return {"state_dict": {"weight": torch.full((size,), float(step))}, "global_step": step}


def save(folder: Path, step: int, name: str = "last.ckpt") -> Path:
    SafeCheckpointIO().save_checkpoint(content(step), folder / name)
    return folder / name


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_one_before_the_last_is_kept(tmp_path):
    for step in (1, 2, 3):
        save(tmp_path, step)
    assert names(tmp_path) == {"last.ckpt", "previous.ckpt"}
    assert read_intact(tmp_path / "last.ckpt")["global_step"] == 3
    assert read_intact(tmp_path / "previous.ckpt")["global_step"] == 2


def test_it_is_kept_where_files_cannot_have_two_names(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    for step in (1, 2):
        save(tmp_path, step)
    assert read_intact(tmp_path / "previous.ckpt")["global_step"] == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("written", [0, 1, 3])
def test_a_full_disk_is_told_and_damages_nothing(tmp_path, monkeypatch, written, number):
    save(tmp_path, 1)
    original = checkpoint_files._Watched.write
    left = written

    def write(self, data):
        nonlocal left
        left -= 1
        if left < 0:
            self.error = OSError(number, os.strerror(number))
            raise self.error
        return original(self, data)

    monkeypatch.setattr(checkpoint_files._Watched, "write", write)
    with pytest.raises(OSError, match=r"no space left for .*last\.ckpt .*resume_from_checkpoint"):
        save(tmp_path, 2)
    assert names(tmp_path) == {"last.ckpt"}
    assert read_intact(tmp_path / "last.ckpt")["global_step"] == 1


def test_what_cannot_be_read_back_does_not_replace_what_can(tmp_path, monkeypatch):
    save(tmp_path, 1)
    monkeypatch.setattr(checkpoint_files, "_save", lambda _, file: file.write(b"half a checkp"))
    with pytest.raises(DamagedCheckpointError):
        save(tmp_path, 2)
    assert names(tmp_path) == {"last.ckpt"}
    assert read_intact(tmp_path / "last.ckpt")["global_step"] == 1


def test_damage_anywhere_is_noticed(tmp_path):
    path = save(tmp_path, 1)
    whole = path.read_bytes()
    places = range(0, len(whole), len(whole) // 40)
    noticed = 0
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = read_intact(path)
        except DamagedCheckpointError:
            noticed += 1
        else:  # padding between the parts of the archive means nothing
            assert torch.equal(found["state_dict"]["weight"], torch.full((1000,), 1.0))
    assert noticed > len(places) / 2
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCheckpointError):
            read_intact(path)


def test_the_newest_that_is_whole_is_taken(tmp_path, caplog):
    assert newest_intact(tmp_path) is None
    for step in (1, 2):
        save(tmp_path, step)
    save(tmp_path, 1, "step=0000001-val_loss=3.1000.ckpt")
    save(tmp_path, 2, "step=0000002-val_loss=3.0000.ckpt")
    expected = [
        "last.ckpt", "previous.ckpt", "step=0000002-val_loss=3.0000.ckpt",
        "step=0000001-val_loss=3.1000.ckpt",
    ]  # fmt: skip
    for name in expected:
        path, content = newest_intact(tmp_path)
        assert path == tmp_path / name
        assert content["global_step"] in {1, 2}
        (tmp_path / name).write_bytes(b"")
    assert "last.ckpt is truncated or damaged" in caplog.text
    with pytest.raises(DamagedCheckpointError, match=r"all checkpoints in .* are damaged"):
        newest_intact(tmp_path)


def test_a_file_of_torch_that_is_no_checkpoint_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    with pytest.raises(DamagedCheckpointError, match="not a checkpoint of a run"):
        read_intact(tmp_path / "other.ckpt")
    with pytest.raises(FileNotFoundError):
        read_intact(tmp_path / "nowhere.ckpt")


def test_only_forgotten_best_checkpoints_are_pruned(tmp_path):
    kept = {
        "last.ckpt", "step=0000002-val_loss=3.0000.ckpt", "step=0000009-val_loss=1.0000.ckpt",
        "step=0000001-val_loss=3.1000-mine.txt", "mine.ckpt",
    }  # fmt: skip
    for name in {*kept, "step=0000001-val_loss=3.1000.ckpt"}:
        (tmp_path / name).touch()
    prune(tmp_path, 5, {"step=0000002-val_loss=3.0000.ckpt"})
    assert names(tmp_path) == kept


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    (tmp_path / ".last.ckpt.partial").touch()
    (tmp_path / "last.ckpt").touch()
    remove_partial(tmp_path)
    assert names(tmp_path) == {"last.ckpt"}
