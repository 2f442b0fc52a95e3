"""Does the memory of `prepare` stay flat while cells become more, and how long does it take?

    python benchmarks/prepare_memory.py [--cells 10000 100000]
    git worktree add --detach FOLDER 7ccd5ff
    python benchmarks/prepare_memory.py --cells 1000000 --other FOLDER

Simulated cells of ten days (2,000 genes, about 300 of them expressed in a cell) are written block
by block and prepared, each number of cells in a process of its own. After every step the highest
resident memory since the step before is taken: all steps but the graph should cost about the same
for any number of cells, and what they cost should stay far below the counts. With `--other`, a
checkout of another commit prepares the same cells in the same run; time is compared in CPU seconds.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

HERE = Path(__file__).resolve().parent
PACKAGE = Path("sub-packages/bionemo-geneformer-t/src")
TIME_TARGET, MEMORY_TARGET = 0.4, 0.8
"""Of a million cells, as fractions of what commit 7ccd5ff takes."""
NUM_GENES, NUM_DAYS, ROWS = 2000, 10, 2048
STEPS = {
    "counts of": "read",
    "vocabulary": "medians",
    "coordinates": "pca",
    "graphs": "graph",
    "splits": "write",
    "the report": "report",
}
"""How each message of `prepare` begins, and the step that it ends."""


def write_cells(path: Path, num_cells: int, num_days: int = NUM_DAYS) -> int:
    """Write an .h5ad of simulated counts without holding it; returns the stored values."""
    rng = np.random.default_rng(0)
    level = rng.lognormal(-2.6, 1.3, NUM_GENES)
    drift = rng.normal(0, 0.25, NUM_GENES)
    day = np.sort(rng.integers(0, num_days, num_cells))
    obs = pd.DataFrame(
        {"day": pd.Categorical([f"D{d}" for d in day])},
        index=[f"cell_{i}" for i in range(num_cells)],
    )
    var = pd.DataFrame(index=[f"ENSG{i:011d}" for i in range(NUM_GENES)])
    anndata.AnnData(obs=obs, var=var).write_h5ad(path)
    options = {"maxshape": (None,), "chunks": (1 << 16,), "compression": "lzf"}
    with h5py.File(path, "r+") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        group.attrs["shape"] = np.array((num_cells, NUM_GENES), dtype=np.int64)
        data = group.create_dataset("data", (0,), np.float32, **options)
        indices = group.create_dataset("indices", (0,), np.int32, **options)
        lengths = []
        for start in range(0, num_cells, ROWS):
            days = day[start : start + ROWS, None]
            mean = level * np.exp(drift * days) * rng.gamma(5, 0.2, (len(days), 1))
            block = sp.csr_array(rng.poisson(mean).astype(np.float32))
            stored = data.shape[0]
            for dataset, values in ((data, block.data), (indices, block.indices)):
                dataset.resize((stored + block.nnz,))
                dataset[stored:] = values
            lengths.append(np.diff(block.indptr))
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths), dtype=np.int64)])
        group.create_dataset("indptr", data=indptr)
    return int(indptr[-1])


def highest_mb() -> float:
    """The most resident memory of this process since it was last asked, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    Path("/proc/self/clear_refs").write_text("5")
    return kilobytes / 1024


class Steps(logging.Handler):
    """Takes memory and time whenever `prepare` says that a step is done."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, float] = {}
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}
        self.cpu_started = time.process_time()
        self.cpu_seconds: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Note what the step took that this message ends."""
        step = next(
            (step for words, step in STEPS.items() if record.getMessage().startswith(words)), None
        )
        if step is not None:
            self.found[step] = highest_mb()
            now = time.perf_counter()
            self.seconds[step], self.started = now - self.started, now
            now = time.process_time()
            self.cpu_seconds[step], self.cpu_started = now - self.cpu_started, now


def prepare_here(path: Path, folder: Path) -> None:
    """Prepare one file in this process, and print what it took as the last line."""
    import scanpy  # noqa: F401  # the megabytes of libraries are no cell's
    import torch  # noqa: F401

    from bionemo.geneformer_t.run.prepare import prepare

    base, handler = highest_mb(), Steps()
    logger = logging.getLogger("bionemo.geneformer_t.run.prepare")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    prepare(input=path, output_dir=folder, time_key="day", time_method="mutual")
    print(json.dumps([base, handler.found, handler.seconds, handler.cpu_seconds]))


def measured(root: Path, path: Path, folder: Path) -> list[Any]:
    """What preparing a file takes with the package of a source tree, in a process of its own."""
    command = [sys.executable, str(HERE / "prepare_memory.py"), "--prepare", str(path), str(folder)]
    env = {**os.environ, "PYTHONPATH": str(root / PACKAGE)}
    ended = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    found: list[Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def graph_mb(folder: Path) -> float:
    """What the graphs of a prepared folder take in memory."""
    total = 0
    for split in ("train", "val", "test"):
        with h5py.File(folder / split / "data.h5ad") as file:
            graph = file["obsp/next_cell_ids"]
            total += 16 * len(graph["data"]) + 8 * len(graph["indptr"])
    return total / 1e6


def row(root: Path, commit: str, num_cells: int, path: Path, num_values: int) -> dict[str, Any]:
    """Prepare and measure a file of so many cells."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        output = Path(folder) / "prepared"
        base, peaks, seconds, cpu_seconds = measured(root, path, output)
        graph_size = graph_mb(output)
    return {
        "commit": commit,
        "cells": num_cells,
        "genes_per_cell": num_values / num_cells,
        "counts_mb": round(8 * num_values / 1e6),
        "base_mb": round(base),
        **{f"{step}_mb": round(peaks[step] - base) for step in STEPS.values()},
        "peak_mb": round(max(peaks.values()) - base),
        "graph_size_mb": graph_size,
        **{f"{step}_s": round(seconds[step]) for step in STEPS.values()},
        **{f"{step}_cpu_s": round(cpu_seconds[step], 1) for step in STEPS.values()},
        "cpu_s": round(sum(cpu_seconds.values()), 1),
    }


def beside(ours: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    """What ours takes as a fraction of the other, beside the targets, which are for a million."""
    from measure import verdict

    is_judged = ours["cells"] >= 1_000_000
    return [
        {
            "cells": ours["cells"],
            "what": what,
            "ours": ours[key],
            "other": other[key],
            "fraction": ours[key] / other[key],
            "target": verdict(ours[key] / other[key], target, at_least=False)
            if is_judged
            else f"{target:g} from a million cells on",
        }
        for what, key, target in (
            ("CPU seconds", "cpu_s", TIME_TARGET),
            ("peak memory, MB above idle", "peak_mb", MEMORY_TARGET),
        )
    ]


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument(
        "--days", type=int, default=NUM_DAYS, help="fewer make days as large as those of more cells"
    )
    parser.add_argument("--folder", type=Path, help="where to write; removed again")
    parser.add_argument("--other", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--prepare", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare is not None:
        prepare_here(*options.prepare)
        return
    from measure import report, table

    trees = {"this": HERE.parent}
    if options.other is not None:
        trees = {"other": options.other.resolve(), **trees}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for num_cells in options.cells:
            path = Path(folder) / f"{num_cells}.h5ad"
            num_values = write_cells(path, num_cells, options.days)
            rows += [row(root, name, num_cells, path, num_values) for name, root in trees.items()]
            path.unlink()
            if len(trees) > 1:
                print(table(beside(rows[-1], rows[-2])), flush=True)
    ours = [found for found in rows if found["commit"] == "this"]
    first, last = ours[0], ours[-1]
    extra = {
        step: (last[f"{step}_mb"] - first[f"{step}_mb"]) * 1e6 / (last["cells"] - first["cells"])
        for step in STEPS.values()
    } if len(ours) > 1 else {}  # fmt: skip
    for step, size in extra.items():
        print(f"{step}: {size:.0f} bytes more for each cell more")
    report("prepare_memory", rows, days=options.days, bytes_per_cell=extra)


if __name__ == "__main__":
    main()
