"""Does the memory of `prepare` stay flat while the number of cells grows?

Simulated cells of ten days (2,000 genes, about 300 of them expressed in a cell) are written block
by block and prepared, each number of cells in a process of its own. After every step the highest
resident memory since the step before is taken: all steps but the graph should cost about the same
for any number of cells, and what they cost should stay far below the counts.
"""

import argparse
import logging
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from measure import report

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


def write_cells(path: Path, num_cells: int) -> int:
    """Write an .h5ad of simulated counts without holding it; returns the stored values."""
    rng = np.random.default_rng(0)
    level = rng.lognormal(-2.6, 1.3, NUM_GENES)
    drift = rng.normal(0, 0.25, NUM_GENES)
    day = np.sort(rng.integers(0, NUM_DAYS, num_cells))
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


def measure(queue: multiprocessing.Queue, path: Path, folder: Path) -> None:
    """Prepare one file in this process and send what it took."""
    from bionemo.geneformer_t.run.prepare import prepare

    handler = Steps()
    logger = logging.getLogger("bionemo.geneformer_t.run.prepare")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    import scanpy  # noqa: F401  # its own megabytes are no cell's

    base = highest_mb()
    prepare(input=path, output_dir=folder, time_key="day", time_method="mutual")
    queue.put((base, handler.found, handler.seconds, handler.cpu_seconds))


def graph_mb(folder: Path) -> float:
    """What the graphs of a prepared folder take in memory."""
    total = 0
    for split in ("train", "val", "test"):
        with h5py.File(folder / split / "data.h5ad") as file:
            graph = file["obsp/next_cell_ids"]
            total += 16 * len(graph["data"]) + 8 * len(graph["indptr"])
    return total / 1e6


def row(num_cells: int, folder: Path) -> dict[str, Any]:
    """Write, prepare and measure one number of cells."""
    path, output = folder / f"{num_cells}.h5ad", folder / f"prepared_{num_cells}"
    num_values = write_cells(path, num_cells)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=measure, args=(queue, path, output))
    process.start()
    base, peaks, seconds, cpu_seconds = queue.get()
    process.join()
    path.unlink()
    above = {step: round(peak - base) for step, peak in peaks.items()}
    return {
        "cells": num_cells,
        "genes_per_cell": num_values / num_cells,
        "counts_mb": round(8 * num_values / 1e6),
        "base_mb": round(base),
        **{f"{step}_mb": above[step] for step in STEPS.values()},
        "graph_size_mb": graph_mb(output),
        **{f"{step}_s": round(seconds[step]) for step in STEPS.values()},
        **{f"{step}_cpu_s": round(cpu_seconds[step], 1) for step in STEPS.values()},
        "cpu_s": round(sum(cpu_seconds.values()), 1),
    }


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where to write; removed again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = [row(num_cells, Path(folder)) for num_cells in options.cells]
    first, last = rows[0], rows[-1]
    extra = {
        step: (last[f"{step}_mb"] - first[f"{step}_mb"]) * 1e6 / (last["cells"] - first["cells"])
        for step in STEPS.values()
    } if len(rows) > 1 else {}  # fmt: skip
    for step, size in extra.items():
        print(f"{step}: {size:.0f} bytes more for each cell more")
    report("prepare_memory", rows, bytes_per_cell=extra)


if __name__ == "__main__":
    main()
