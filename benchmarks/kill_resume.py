"""Kill a real run at random moments, resume it to its end, and compare it with one left alone.

Each part is a process of its own, killed with SIGKILL: while the caches are built, in optimizer
steps, in validation and while a checkpoint is written. The same command is repeated every time. The
final weights and the optimizer's state must be those of the uninterrupted run to the last bit, and
metrics.csv to the last byte.
"""

import argparse
import hashlib
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch
from measure import report

from bionemo.geneformer_t.data import cell_store
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.training.checkpoint_files import SafeCheckpointIO
from bionemo.geneformer_t.vocab import GeneVocab

CACHE = "cache building"
PHASES: dict[str, tuple[Any, str, int]] = {
    CACHE: (cell_store, "write_archive", 2),
    "optimizer step": (TemporalGeneformerModel, "training_step", 8),
    "validation": (TemporalGeneformerModel, "validation_step", 4),
    "checkpoint writing": (SafeCheckpointIO, "save_checkpoint", 3),
}
"""What is killed: the function that a part has just entered, for at most the so-many-th time."""

LONGEST_WAIT = 0.03
"""Seconds between entering a function and the kill, at most; they are drawn."""

SETTINGS: dict[str, Any] = {
    "seq_length": 128,
    "hidden_size": 32,
    "num_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "micro_batch_size": 4,
    "global_batch_size": 8,
    "num_epochs": 12,
    "final_evaluation": False,
    "val_check_interval": 10,
    "log_every_n_steps": 1,
    "checkpoint_every_n_steps": 3,
    "num_workers": 1,
    "accelerator": "cpu",
}


def write_data(folder: Path, seed: int) -> Path:
    """A folder of 160 cells to train on and 20 to validate on, each followed by the next two."""
    rng = np.random.default_rng(seed)
    genes = [f"ENSG{i:011d}" for i in range(200)]
    vocab = GeneVocab.of_genes({gene: float(rng.uniform(0.5, 3)) for gene in genes})
    for split, number in {"train": 160, "val": 20}.items():
        cells = [f"{split}_{i}" for i in range(number)]
        counts = rng.poisson(rng.gamma(1.0, 1.0, (number, 200))).astype(np.float32) + 1
        (folder / split).mkdir(parents=True)
        anndata.AnnData(
            counts, obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=genes)
        ).write_h5ad(folder / split / "data.h5ad")
        successors = {cell: cells[i + 1 : i + 3] for i, cell in enumerate(cells[:-1])}
        (folder / split / "neighbors.json").write_text(json.dumps({"next_cell_ids": successors}))
        vocab.write(folder / split / "geneformer.vocab", folder / split / "medians.json")
    return folder


def plan(kills: int, rng: random.Random) -> Iterator[tuple[str, int, float]]:
    """Which phase each part is killed in, at its how-many-th entry, and how long after that."""
    phases = [list(PHASES)[i % len(PHASES)] for i in range(kills)]
    rng.shuffle(phases)
    for phase in phases:
        yield phase, rng.randint(1, PHASES[phase][2]), rng.uniform(0, LONGEST_WAIT)


def run_part(
    data: Path, output: Path, log: Path, kill: tuple[str, int, float] | None, **more: Any
) -> tuple[bool, float]:
    """Run the command in a process, with these settings beside those of all, and kill it.

    Returns:
        Whether the run came to its end before it was to be killed, and the seconds it took.
    """
    reader, writer = os.pipe()
    started = time.perf_counter()
    child = os.fork()
    if not child:
        os.close(reader)
        train_and_exit(data, output, log, kill and partial(tell, writer, *kill[:2]), **more)
    os.close(writer)
    is_there = os.read(reader, 1)  # empty when the process has ended
    if is_there and kill is not None:
        time.sleep(kill[2])
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"a part failed by itself:\n{log.read_text()[-4000:]}")
    return not os.WIFSIGNALED(status), time.perf_counter() - started


def train_and_exit(
    data: Path, output: Path, log: Path, watch: Callable[[], None] | None, **more: Any
) -> None:
    """The life of a part; never returns. Exit code 1 where training fails, with the error logged.

    Args:
        data: The data folder.
        output: The run's.
        log: Where all that is printed goes.
        watch: Called before training.
        more: Settings beside, or in place of, those that all parts have.
    """
    status = 1
    try:
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        logging.basicConfig(level=logging.WARNING, format="%(message)s")
        if watch is not None:
            watch()
        settings = {**SETTINGS, "resume_from_checkpoint": "last", **more}
        train_temporal_geneformer(data_dir=data, output_dir=output, **settings)
        status = 0
    except BaseException:  # noqa: BLE001 - a forked process must not return
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def tell(pipe: int, phase: str, entry: int) -> None:
    """Write to a pipe when a phase is entered for the so-many-th time."""
    owner, name, _ = PHASES[phase]
    original, entered = getattr(owner, name), 0

    def entering(*args: Any, **kwargs: Any) -> Any:
        nonlocal entered
        entered += 1
        if entered == entry:
            os.write(pipe, b"x")
        return original(*args, **kwargs)

    setattr(owner, name, entering)


def digest(output: Path) -> str:
    """SHA-256 over the weights, the optimizer's state and the schedule of a run's last checkpoint.

    Serialised files differ in bytes that mean nothing; tensors do not.
    """
    content = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)
    found = hashlib.sha256()
    for name, value in _leaves([content[k] for k in ("state_dict", "optimizer_states")], ""):
        found.update(name.encode())
        if isinstance(value, torch.Tensor):
            found.update(value.contiguous().numpy().tobytes())
        else:
            found.update(repr(value).encode())
    found.update(repr((content["lr_schedulers"], content["global_step"])).encode())
    return found.hexdigest()


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _leaves(value[key], f"{name}/{key}")
    elif isinstance(value, list | tuple):
        for i, child in enumerate(value):
            yield from _leaves(child, f"{name}/{i}")
    else:
        yield name, value


def main() -> int:
    """Run the comparison; 1 where the two runs differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        parts, whole = root / "parts", root / "whole"
        log = root / "log"
        _, seconds_whole = run_part(write_data(root / "own", options.seed), whole, log, None)
        data = write_data(root / "data", options.seed)
        rows: dict[str, dict[str, Any]] = {phase: {"phase": phase, "kills": 0} for phase in PHASES}
        started = time.perf_counter()
        for kill in plan(options.kills, rng):
            if kill[0] == CACHE:
                for cache in data.glob("*/.cache"):  # or it would not be built again
                    shutil.rmtree(cache)
            has_ended, _ = run_part(data, parts, log, kill)
            rows[kill[0]]["kills"] += not has_ended
            print(f"killed in {kill[0]}, entry {kill[1]}, after {1000 * kill[2]:.0f} ms")
        run_part(data, parts, log, None)
        seconds_parts = time.perf_counter() - started
        hashes = {name: digest(run) for name, run in (("killed", parts), ("whole", whole))}
        metrics = [(run / "metrics.csv").read_bytes() for run in (parts, whole)]
        left = [p.name for p in data.rglob("*partial*")]
    kills = sum(row["kills"] for row in rows.values())
    is_same = hashes["killed"] == hashes["whole"] and metrics[0] == metrics[1]
    print(f"{kills} kills, {kills} resumes")
    for name, value in hashes.items():
        print(f"{name:>7}: {value}")
    print(f"metrics.csv {'is the same' if metrics[0] == metrics[1] else 'DIFFERS'}")
    report(
        "kill_resume", list(rows.values()), seed=options.seed, kills=kills, resumes=kills,
        hashes=hashes, same_metrics=metrics[0] == metrics[1], left_unfinished=left,
        seconds_whole=round(seconds_whole, 1), seconds_parts=round(seconds_parts, 1),
        passed=is_same and kills >= options.kills and not left,
    )  # fmt: skip
    return 0 if is_same and kills >= options.kills and not left else 1


if __name__ == "__main__":
    sys.exit(main())
