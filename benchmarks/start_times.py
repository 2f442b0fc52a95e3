"""CPU seconds from the start of a command to its end, or to its first score, beside another build.

    python benchmarks/start_times.py OTHER_CHECKOUT

A command runs in a process of its own, on one thread, in turn for the two builds. `evaluate` ends
where its first prediction would be made: what comes after is the evaluation itself, of which the
builds score different things. Each build trains the checkpoint that it reads.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from measure import commit_of, report, verdict

from bionemo.geneformer_t.run.simulate import simulate

HERE = Path(__file__).resolve().parents[1]
SOURCE = Path("sub-packages") / "bionemo-geneformer-t" / "src"
CELLS = 100
TARGET = 0.4
ROUNDS = 5
OTHERS = {"--help", "embed"}
"""Without a target."""
COMMAND = """
import sys
from bionemo.geneformer_t.run.cli import main

if sys.argv[1] == "evaluate":
    import bionemo.geneformer_t.evaluate.evaluation as module

    def stop(*args, **kwargs):
        raise SystemExit(0)

    module.evaluate = stop
sys.exit(main(sys.argv[1:]))
"""
SMALL = [
    "--seq_length=256",
    "--hidden_size=64",
    "--num_layers=2",
    "--num_attention_heads=4",
    "--num_epochs=1",
    "--intermediate_size=128",
    "--num_workers=0",
    "--final_evaluation=false",
    "--accelerator=cpu",
]


def cpu_seconds(source: Path, arguments: Sequence[str | Path]) -> float:
    """CPU seconds of one command, of a build's source folder, in a process of its own.

    Raises:
        RuntimeError: The command failed.
    """
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's second start finds bytecode
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{arguments}: exit code {done.returncode}\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prepared(source: Path, data: Path, cells: Path, folder: Path) -> dict[str, list[str | Path]]:
    """Name of a measurement -> arguments of its command, with a checkpoint of this build."""
    cpu_seconds(source, ["train", "--data_dir", data, "--output_dir", folder / "run", *SMALL])
    model = folder / "run" / "checkpoints" / "last.ckpt"
    return {
        "--help": ["--help"],
        "doctor": ["doctor", model, data],
        f"predict, {CELLS} cells": [
            "predict", "--checkpoint", model, "--input", cells, "--output", folder / "next.csv",
        ],
        "evaluate, start": ["evaluate", "--checkpoint", model, "--data_dir", data],
        "embed": [
            "embed", "--checkpoint", model, "--input", cells, "--output", folder / "embedded.h5ad",
        ],
    }  # fmt: skip


def first_cells(data: Path, path: Path) -> Path:
    """A file of the first training cells."""
    import anndata

    anndata.read_h5ad(data / "train" / "data.h5ad")[:CELLS].copy().write_h5ad(path)
    return path


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="Checkout of the build to compare with.")
    other = parser.parse_args().other.resolve()
    ours, theirs = HERE / SOURCE, other / SOURCE
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        simulate(output_dir=data, num_cells=400, num_genes=200)
        cells = first_cells(data, Path(scratch) / "cells.h5ad")
        old = prepared(theirs, data, cells, Path(scratch) / "old")
        new = prepared(ours, data, cells, Path(scratch) / "new")
        rows = []
        for name in new:
            seconds: list[tuple[float, float]] = []
            for i in range(ROUNDS + 1):
                pair = cpu_seconds(theirs, old[name]), cpu_seconds(ours, new[name])
                if i:  # the first one writes bytecode and caches
                    seconds.append(pair)
            print(name, seconds, flush=True)
            rows.append({
                "command": name,
                "other": median(before for before, _ in seconds),
                "ours": median(after for _, after in seconds),
                "ratio": median(after / before for before, after in seconds),
            })  # fmt: skip
    shown = [
        row | {"target": verdict(row["ratio"], TARGET, at_least=False)}
        if row["command"] not in OTHERS else row | {"target": "-"}
        for row in rows
    ]  # fmt: skip
    report("start_times", rows, shown, other=commit_of(other), rounds=ROUNDS)


if __name__ == "__main__":
    main()
