"""A command whose output is read no further ends without a word, as under `| head`."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bionemo.geneformer_t.run.command import UNREAD, ending_unread


@pytest.fixture
def unread() -> Iterator[int]:
    """Where to write into a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("line", ["-h", "--version", "train --help", "doctor --help"])
def test_help_that_nobody_reads_ends_quietly(line, unread) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "bionemo.geneformer_t.run.cli", *line.split()],
        stdout=unread, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert finished.stderr == ""
    assert finished.returncode in {0, UNREAD}  # as Python notices at the end or at once


@pytest.mark.parametrize("length", [1, 10**6], ids=["kept back", "written at once"])
def test_a_command_ends_where_it_prints_to_nobody(length, unread, monkeypatch) -> None:
    with os.fdopen(os.dup(unread), "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as ended, ending_unread():
            print("x" * length, flush=True)
    assert ended.value.code == UNREAD


def test_an_error_of_a_command_that_nobody_reads_is_still_that_error(unread, monkeypatch) -> None:
    with os.fdopen(os.dup(unread), "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print("x")
        with pytest.raises(ValueError, match="wrong"), ending_unread():
            raise ValueError("wrong")


def test_another_broken_pipe_is_an_error_like_others() -> None:
    with pytest.raises(BrokenPipeError), ending_unread():
        raise BrokenPipeError
