"""What does a larger data set cost: time per pair, resident memory, and a second process?

The same number of training batches is drawn, with the token cache and without, from data sets of
growing size, each in a fresh process. Resident memory is the highest that the process had at any
moment: opening the data, encoding all cells, shuffling and drawing. A second table compares one
training process with two (DDP), one thread each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from cells import NUM_GENES, make_split
from measure import report, table

GENES, MORE_MB_TARGET = 300, 200
PAIRS = 8


def highest_mb() -> float:
    """The most resident memory that this process has had, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024


def draw(data_dir: Path, batches: int, *, token_cache: bool) -> dict[str, float]:
    """Draw batches in this process, after everything that comes before."""
    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule

    started = time.perf_counter()
    data = TemporalGeneformerDataModule(data_dir, token_cache=token_cache)
    data.prepare_data()
    loader = data.train_dataloader()
    iterator = iter(loader)
    next(iterator)
    opened = time.perf_counter()
    for _ in islice(iterator, batches):
        pass
    return {
        "seconds_to_first_batch": opened - started,
        "us_per_pair": (time.perf_counter() - opened) / batches / PAIRS * 1e6,
        "resident_mb": highest_mb(),
    }


def train(data_dir: Path, devices: int, steps: int) -> dict[str, float]:
    """Pairs per second of a training run on so many processes, without its first step."""
    import lightning as L

    from bionemo.geneformer_t.config import BioBertConfig
    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
    from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

    class Clock(L.Callback):
        ends: list[float] = []  # noqa: RUF012 - one run

        def on_train_batch_end(self, *_: object) -> None:
            self.ends.append(time.perf_counter())

    sizes = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4}
    model = TemporalGeneformerModel(
        BioBertConfig(vocab_size=NUM_GENES + 5, intermediate_size=512, **sizes)
    )
    clock = Clock()
    L.Trainer(
        max_steps=steps, accelerator="cpu", devices=devices, logger=False, callbacks=[clock],
        strategy="ddp" if devices > 1 else "auto", enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    ).fit(model, TemporalGeneformerDataModule(data_dir))  # fmt: skip
    seconds = clock.ends[-1] - clock.ends[0]
    return {"pairs_per_s": devices * PAIRS * (len(clock.ends) - 1) / seconds}


def in_fresh_process(*arguments: str) -> dict[str, float]:
    """The last line that this script prints when it is run with these arguments."""
    finished = subprocess.run(
        [sys.executable, __file__, *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if finished.returncode:
        raise RuntimeError(finished.stderr)
    # processes of one run share this stream, and their line ends may come late
    return json.loads([line for line in finished.stdout.splitlines() if line][-1])


def growth(folder: Path, sizes: list[int], batches: int) -> list[dict[str, object]]:
    """One row for each size, with the token cache and without."""
    rows: list[dict[str, object]] = []
    first: dict[str, float] = {}
    for size in sizes:
        data_dir = folder / str(size)
        make_split(data_dir / "train", np.full(size, GENES))
        # Opening converts nothing, but surveys the counts once; that is not what is measured.
        in_fresh_process("--draw", str(data_dir), "--batches", "1", "--no-token-cache")
        for what, option in (("tokenising", ["--no-token-cache"]), ("token cache", [])):
            found = in_fresh_process("--draw", str(data_dir), "--batches", str(batches), *option)
            more = found["resident_mb"] - first.setdefault(what, found["resident_mb"])
            rows.append(
                {"cells": size, "loader": what, **found, "more_mb": more, "target": MORE_MB_TARGET}
            )
    return rows


def main() -> None:
    """Print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--batches", type=int, default=1_000)
    parser.add_argument("--steps", type=int, default=20, help="of training, for each DDP run")
    parser.add_argument("--draw", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--devices", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--no-token-cache", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.draw is not None:
        token_cache = not options.no_token_cache
        print(json.dumps(draw(options.draw, options.batches, token_cache=token_cache)))
        return
    if options.train is not None:
        print(json.dumps(train(options.train, options.devices, options.steps)))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = growth(Path(folder), options.sizes, options.batches)
        one, two = (
            in_fresh_process(
                "--train", str(Path(folder) / str(options.sizes[0])),
                "--devices", str(devices), "--steps", str(options.steps),
            )["pairs_per_s"]
            for devices in (1, 2)
        )  # fmt: skip
    processes = [
        {"processes": 1, "pairs_per_s": one, "efficiency": 1.0},
        {"processes": 2, "pairs_per_s": two, "efficiency": two / one / 2},
    ]
    print(table(processes))
    report("scaling", rows, processes=processes)


if __name__ == "__main__":
    main()
