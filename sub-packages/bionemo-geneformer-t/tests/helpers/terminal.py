"""Commands of the documents, without a process for each of them.

Starting Python and importing the libraries takes longer than most commands of the documents do.
Those of `geneformer-t` are called here with the arguments that a shell would pass, and what they
change in the process is put back. All others run in a shell, and so do those that are told to.
"""

import logging
import os
import random
import shlex
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path

import numpy as np
import torch

from bionemo.geneformer_t.run import cli

OFFLINE = {"WANDB_MODE": "offline", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
"""Nothing is sent to or asked of the network, and each process keeps to one core."""
_SHELL_SYNTAX = set("|&;<>()$`*?[]{}~")


def run_script(script: str, folder: Path, *, own_process: bool = False) -> None:
    """Run lines of a document in this folder.

    Raises:
        AssertionError: One of them ended with another code than 0.
    """
    lines = [shlex.split(line, comments=True) for line in commands(script)]
    ours = all(line[0] == "geneformer-t" for line in lines) and not _SHELL_SYNTAX & set(script)
    if own_process or not ours:
        run_in_shell(script, folder)
        return
    for line in lines:
        with process_restored(), chdir(folder):
            os.environ |= OFFLINE
            sys.argv = line
            code = exit_code(line[1:])
        assert code == 0, f"{shlex.join(line)} ended with {code}"


def commands(script: str) -> list[str]:
    """Its lines, continued ones joined, without empty ones and comments."""
    lines = (line.strip() for line in script.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def exit_code(arguments: list[str]) -> int | str | None:
    """What a shell would get from `geneformer-t` with these arguments, or the words of its end."""
    try:
        return cli.main(arguments)
    except SystemExit as end:
        return end.code or 0


def run_in_shell(script: str, folder: Path) -> None:
    """Run a script as a reader would; the console scripts of this Python come first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env={**os.environ, **OFFLINE, "PATH": path},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, f"{script}\n{finished.stdout}\n{finished.stderr}"


@contextmanager
def process_restored() -> Iterator[None]:
    """Put back what ends with a process: all that one command could hand on to the next."""
    environment, arguments = dict(os.environ), sys.argv
    root, lightning = logging.getLogger(), logging.getLogger("lightning.pytorch")
    logs = [(log, log.level, list(log.handlers)) for log in (root, lightning)]
    signals = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    generators = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # the reader's terminal, where none is an error
            yield
    finally:
        _replace(os.environ, environment)
        sys.argv = arguments
        for log, level, handlers in logs:
            log.setLevel(level)
            log.handlers[:] = handlers
        for name, handler in signals.items():
            signal.signal(name, handler)
        random.setstate(generators[0])
        np.random.set_state(generators[1])  # noqa: NPY002
        torch.set_rng_state(generators[2])
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


def _replace(held: "os._Environ[str]", values: Mapping[str, str]) -> None:
    for name in held.keys() - values.keys():
        del held[name]
    held.update(values)
