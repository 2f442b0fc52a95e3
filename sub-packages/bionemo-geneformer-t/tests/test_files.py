"""An output is whole or not there, whatever happens while it is written."""

import errno
import gc
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from safetensors.numpy import save_file

from bionemo.geneformer_t import files
from bionemo.geneformer_t.counts.update_h5ad import add_array, updated_copy, whole_hdf5
from bionemo.geneformer_t.data.write_folder import SplitContent, new_data_folder, write_data_folder
from bionemo.geneformer_t.files import (
    remove_abandoned,
    require_writable,
    whole_file,
    whole_folder,
    write_text,
)
from bionemo.geneformer_t.inference import prediction_file
from bionemo.geneformer_t.inference.cell_marks import CellMarks
from bionemo.geneformer_t.inference.next_cell import NextCells
from bionemo.geneformer_t.report.figures.style import new_figure, save
from bionemo.geneformer_t.run.demo import _write_record
from bionemo.geneformer_t.training.checkpoint_files import SafeCheckpointIO
from bionemo.geneformer_t.vocab import GeneVocab


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def in_a_child(ask: Callable[[], None]) -> str:
    """What a call says when it fails in a process of its own, which may become another user."""
    reader, writer = os.pipe()
    if not os.fork():
        said = "nothing"
        try:
            ask()
        except OSError as error:
            said = str(error)
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.wait()
    return said


def on_a_disk_of(num_bytes: int, write: Callable[[], None]) -> str:
    """What a writer says, in a process that the system lets write so many bytes of each file.

    The process must live on after it: its exit code tells.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        said = "nothing"
        try:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
            try:
                write()
            except OSError as error:
                said = str(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            for _ in range(3):
                gc.collect()
            os.write(writer, said.encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    said = b"".join(iter(lambda: os.read(reader, 4096), b"")).decode()
    os.close(reader)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return said


# --- a file ---------------------------------------------------------------------------------------


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "new" / "text.csv"
    with whole_file(path) as half:
        assert (half.suffix, half.parent.parent) == (".csv", path.parent)
        half.write_text("first")
        assert not path.exists()
    with whole_file(path) as half:
        half.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert names(path.parent) == {"text.csv"}


def test_an_error_leaves_what_was_there(tmp_path):
    write_text(tmp_path / "text", "before")

    def fail(half: Path) -> None:
        half.write_text("half of wh")
        raise KeyError

    with pytest.raises(KeyError), whole_file(tmp_path / "text") as half:
        fail(half)
    assert (tmp_path / "text").read_text() == "before"
    assert names(tmp_path) == {"text"}


def test_a_link_stays_a_link_and_a_mode_stays_a_mode(tmp_path):
    there, link = tmp_path / "elsewhere" / "cells.h5ad", tmp_path / "link.h5ad"
    there.parent.mkdir()
    there.write_text("before")
    there.chmod(0o640)
    link.symlink_to(there)
    write_text(link, "after")
    assert link.is_symlink()
    assert there.read_text() == "after"
    assert stat.S_IMODE(there.stat().st_mode) == 0o640
    assert names(tmp_path) == {"elsewhere", "link.h5ad"}


def test_a_new_file_has_the_mode_that_any_program_would_give_it(tmp_path):
    write_text(tmp_path / "ours", "")
    (tmp_path / "theirs").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    reader = os.open(tmp_path / "pipe.csv", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe.csv", "a,b\n")
    assert os.read(reader, 100) == b"a,b\n"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe.csv").stat().st_mode)


def test_a_folder_and_a_protected_file_are_not_overwritten(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"there is a folder of this name"):
        write_text(tmp_path / "folder", "")
    write_text(tmp_path / "protected", "before")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(PermissionError, match=r"it is there and write-protected"):
        write_text(tmp_path / "protected", "after")
    assert (tmp_path / "protected").read_text() == "before"


def test_the_longest_name_that_a_disk_takes_can_be_written(tmp_path):
    write_text(tmp_path / ("a" * 255), "long")
    assert (tmp_path / ("a" * 255)).read_text() == "long"


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.tempfile, "mkdtemp", refuse)
    with pytest.raises(PermissionError, match=rf"its folder {tmp_path} cannot be written"):
        write_text(tmp_path / "text", "")


def test_a_place_that_can_be_written_is_as_it_was_after_the_trial(tmp_path):
    write_text(tmp_path / "there.csv", "before")
    os.mkfifo(tmp_path / "pipe")
    before = names(tmp_path)
    for name in ("there.csv", "new.csv", "missing/folder/new.csv", "pipe"):
        require_writable(tmp_path / name)
    assert names(tmp_path) == before
    assert (tmp_path / "there.csv").read_text() == "before"


def test_a_place_that_cannot_be_written_is_refused_before_there_is_anything_to_write(
    tmp_path, monkeypatch
):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"there is a folder of this name"):
        require_writable(tmp_path / "folder")
    write_text(tmp_path / "file", "text")
    with pytest.raises(NotADirectoryError, match=rf"{tmp_path}/file is a file, not a folder"):
        require_writable(tmp_path / "file" / "deeper" / "new.csv")
    with (
        pytest.raises(NotADirectoryError, match=rf"{tmp_path}/file is a file, not a folder"),
        whole_folder(tmp_path / "file" / "deeper"),
    ):
        pass
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: False)  # root may write everything
        with pytest.raises(PermissionError, match=r"it is there and write-protected"):
            require_writable(tmp_path / "file")
    with pytest.raises(OSError, match=r"cannot write /proc/new.csv: /proc cannot be written"):
        require_writable(Path("/proc/new.csv"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_what_a_user_may_not_look_into_is_refused_in_one_sentence(tmp_path):
    def ask() -> None:
        os.setuid(65534)
        require_writable(Path("/root/nothing/of/this.csv"))

    mode = stat.S_IMODE(os.stat("/root").st_mode)  # noqa: PTH116
    if mode & 0o7:
        pytest.skip("everybody may look into /root")
    assert "/root cannot be written" in in_a_child(ask)


# --- a folder -------------------------------------------------------------------------------------


def test_a_folder_appears_as_a_whole_or_not_at_all(tmp_path):
    with whole_folder(tmp_path / "data") as folder:
        (folder / "train").mkdir()
        (folder / "train" / "data").touch()
        assert not (tmp_path / "data").exists()
    assert names(tmp_path) == {"data"}
    with pytest.raises(KeyError), whole_folder(tmp_path / "other"):
        raise KeyError
    refused = pytest.raises(FileExistsError, match="was filled while this ran")
    with refused, whole_folder(tmp_path / "data"):
        pass
    assert names(tmp_path) == {"data"}


# --- a full disk ----------------------------------------------------------------------------------


def write_csv(path: Path) -> None:
    with whole_file(path) as half:
        pd.DataFrame({"gene": np.arange(100_000)}).to_csv(half)


def write_predictions(path: Path) -> None:
    vocab = GeneVocab.of_genes({f"ENSG{i:011d}": 1.0 for i in range(30)})
    ids = np.tile(vocab.gene_ids[:20], (2000, 1))
    found = NextCells(
        vocab=vocab, cells=np.arange(2000), empty=np.arange(0), token_ids=ids,
        probabilities=np.zeros(ids.shape),
    )  # fmt: skip
    names = [f"cell {i}" for i in range(2000)]
    prediction_file.write_predictions([found], names, [""] * len(vocab), path, {}, CellMarks())


def update_h5ad(path: Path) -> None:
    source = path.with_name("source.h5ad")
    with updated_copy(source, path, {"obsm": (), "varm": (), "uns": ()}) as file:
        array = add_array(file, "obsm", "X_new", (50_000, 8))
        array[:] = 1.0


def write_picture(path: Path) -> None:
    figure: Figure = new_figure()
    figure.gca().imshow(np.random.default_rng(0).random((400, 400)))
    save(figure, path)


def write_weights(path: Path) -> None:
    with new_data_folder(path, {"command": "export"}) as folder:
        save_file({"weights": np.zeros(200_000)}, folder / "model.safetensors")


def write_data(path: Path) -> None:
    cells = anndata.AnnData(np.random.default_rng(0).poisson(1.0, (200, 300)).astype("float32"))
    vocab = GeneVocab.of_genes({f"ENSG{i:011d}": 1.0 for i in range(30)})
    write_data_folder(path, {"train": SplitContent.of(cells, {})}, vocab, {})


def write_many_small_entries(path: Path) -> None:
    """HDF5 keeps these until the file is closed, and notices only then that the disk is full."""
    with whole_hdf5(path) as file:
        for i in range(1000):
            file[f"group {i}/numbers"] = np.zeros(5)


def write_record(path: Path) -> None:
    _write_record(path.parent, {"evaluated": "x" * 200_000})


def write_checkpoint(path: Path) -> None:
    import torch

    SafeCheckpointIO().save_checkpoint(
        {"state_dict": {"a": torch.zeros(200_000)}, "global_step": 1}, path
    )


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_csv, "next.csv"),
        (write_predictions, "next.h5ad"),
        (update_h5ad, "embedded.h5ad"),
        (write_picture, "picture.png"),
        (write_weights, "exported"),
        (write_data, "data"),
        (write_many_small_entries, "many.h5"),
        (write_record, "demo.json"),
        (write_checkpoint, "last.ckpt"),
    ],
)
@pytest.mark.slow
def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing(tmp_path, write, name):
    anndata.AnnData(np.zeros((2, 2), dtype=np.float32)).write_h5ad(tmp_path / "source.h5ad")
    before = names(tmp_path)
    said = on_a_disk_of(50_000, partial(write, tmp_path / name))
    assert said.startswith(f"no space left for {tmp_path}")
    assert "; what was written before is whole. Free some, then " in said
    assert names(tmp_path) == before
    write(tmp_path / name)
    assert (tmp_path / name).exists()


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(ValueError, match=r"^five$"), whole_file(tmp_path / "text"):
        raise ValueError("five")


def test_numpys_message_about_a_short_write_is_that_of_a_full_disk(tmp_path):
    message = r"^no space left for .*\(1000 requested and 0 written\)"
    with pytest.raises(OSError, match=message), whole_file(tmp_path / "text"):
        raise OSError("1000 requested and 0 written")


# --- what a kill leaves ---------------------------------------------------------------------------

HANG = """
import sys, time
from pathlib import Path
from bionemo.geneformer_t.files import whole_file
with whole_file(Path(sys.argv[1])) as half:
    half.write_text("half of wh")
    print(half.parent.name, flush=True)
    time.sleep(60)
"""


@contextmanager
def hanging_writer(path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    writer = subprocess.Popen(
        [sys.executable, "-c", HANG, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    try:
        yield writer, writer.stdout.readline().strip()
    finally:
        writer.kill()
        writer.communicate()


def test_what_a_killed_writer_left_is_removed_by_the_next_and_a_living_one_keeps_its_own(tmp_path):
    path = tmp_path / "next[1].csv"
    with hanging_writer(path) as (writer, left):
        write_text(path, "another's")
        assert names(tmp_path) == {"next[1].csv", left}
        assert left.startswith(".next[1].csv.partial-")
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        write_text(tmp_path / "other.csv", "of another name")
        assert left in names(tmp_path)
        write_text(path, "mine")
        assert names(tmp_path) == {"next[1].csv", "other.csv"}


def test_what_another_computer_left_goes_when_it_has_been_still_for_a_day(tmp_path):
    left = tmp_path / ".text.partial-elsewhere-abc"
    left.mkdir()
    assert remove_abandoned(tmp_path) == []
    old = time.time() - files.ABANDONED_AFTER - 60
    os.utime(left, (old, old))
    (tmp_path / ".text.partial-note").write_text("no folder, and nobody's")
    (tmp_path / ".my-old-project").mkdir()
    os.utime(tmp_path / ".my-old-project", (0, 0))
    assert remove_abandoned(tmp_path) == [left]
    assert names(tmp_path) == {".text.partial-note", ".my-old-project"}


def test_where_disks_have_no_locks_files_are_written_all_the_same(tmp_path, monkeypatch):
    def refuse(_self):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.FileLock, "acquire", refuse)
    write_text(tmp_path / "text", json.dumps([1]))
    assert names(tmp_path) == {"text"}


def test_an_h5ad_that_is_updated_in_place_keeps_its_mode_and_its_link(tmp_path):
    there, link = tmp_path / "there.h5ad", tmp_path / "link.h5ad"
    anndata.AnnData(np.zeros((2, 2), dtype=np.float32)).write_h5ad(there)
    there.chmod(0o660)
    link.symlink_to(there.name)
    with updated_copy(link, link, {"obsm": ()}) as file:
        add_array(file, "obsm", "X_new", (2, 1))[:] = 7.0
    assert link.is_symlink()
    assert stat.S_IMODE(there.stat().st_mode) == 0o660
    with h5py.File(there) as file:
        assert file["obsm/X_new"][:].tolist() == [[7.0], [7.0]]
