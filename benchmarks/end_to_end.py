"""Does a real training run wait for its data, and how fast are training and prediction?

On the CPU as it stands; on an NVIDIA GPU with `--accelerator gpu --precision bf16-mixed`.

A Lightning run with the package's own data module and model, timed by Lightning's profiler: what it
spends in fetching the next batch is waiting. The time until the workers deliver their first batch
is told apart.
"""

import argparse
import logging
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import lightning as L
import numpy as np
import torch
from cells import NUM_GENES, make_split, typical_lengths
from gpu import GPU_MODELS
from lightning.pytorch.profilers import SimpleProfiler
from measure import report
from train_step import AS_TRAINED
from train_step import MODELS as ON_CPU

from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.inference.next_cell import predict_next_cells
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel

WAITING_TARGETS = {"cpu": 0.03, "gpu": 0.05}
FETCH, EPOCH = "[_TrainingEpochLoop].train_dataloader_next", "run_training_epoch"
MODELS = {**ON_CPU, "106M": GPU_MODELS["106M"]}


class Durations(SimpleProfiler):
    """Records what each part of a run takes, without printing it."""

    def summary(self) -> str:
        """Nothing: the table is made here."""
        return ""


def train(
    name: str, data_dir: Path, options: argparse.Namespace
) -> tuple[TemporalGeneformerModel, TemporalGeneformerDataModule, dict[str, float]]:
    """A short run: pairs per second, the share of the time that it waited, the time to start."""
    data = TemporalGeneformerDataModule(
        data_dir, num_workers=options.workers, micro_batch_size=options.micro_batch_size
    )
    model = TemporalGeneformerModel(replace(MODELS[name], vocab_size=NUM_GENES + 5, **AS_TRAINED))
    profiler = Durations()
    trainer = L.Trainer(
        max_steps=options.steps,
        accelerator=options.accelerator,
        precision=options.precision,
        devices=1,
        profiler=profiler,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    fetches = profiler.recorded_durations[FETCH]
    start, waited = fetches[0], sum(fetches[1:])
    running = sum(profiler.recorded_durations[EPOCH]) - start
    return (
        model,
        data,
        {
            "pairs_per_s": options.steps * data.micro_batch_size / running,
            "waiting": waited / running,
            "seconds_to_first_batch": start,
        },
    )


def predict(
    model: TemporalGeneformerModel, data: TemporalGeneformerDataModule, cells: int
) -> float:
    """Cells per second of the ten highest ranks of the next cell, where and as training ran."""
    model.eval().to(model.trainer.strategy.root_device)
    with model.trainer.precision_plugin.forward_context():
        some, many = (data.train.tokens.encode_cells(np.arange(n)) for n in (8, cells))
        list(predict_next_cells(model, [some]))
        started = time.perf_counter()
        list(predict_next_cells(model, [many]))
        return cells / (time.perf_counter() - started)


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cells", type=int, default=200, help="to predict")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(ON_CPU))
    parser.add_argument("--accelerator", choices=list(WAITING_TARGETS), default="cpu")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--micro_batch_size", type=int, default=8)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    L.seed_everything(0, verbose=False)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make_split(Path(folder) / "train", typical_lengths(700, 0.4, 2_000))
        for name in options.models:
            model, data, found = train(name, Path(folder), options)
            target = WAITING_TARGETS[options.accelerator]
            row = {"model": name, "workers": options.workers, **found, "target": target}
            rows.append({**row, "predicted_cells_per_s": predict(model, data, options.cells)})
    on = torch.cuda.get_device_name() if options.accelerator == "gpu" else "CPU"
    how = f"{on}, {options.precision}, {options.micro_batch_size} pairs per step"
    threads = torch.get_num_threads()
    print(f"{how}, {threads} threads, typical cells; `waiting` is a share of the time")
    name = "end_to_end" if options.accelerator == "cpu" else "end_to_end_gpu"
    report(name, rows, device=on, precision=options.precision)


if __name__ == "__main__":
    main()
