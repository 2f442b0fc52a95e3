"""`geneformer-t predict` on many cells: what everything but the encoder takes, and peak memory.

    python benchmarks/predict.py [--cells 20000] [--genes 2000] [--rounds 3]

Each run is a process of its own on one thread, from its start to its end. The model is so small
that its encoder is nearly nothing; the time inside it is measured and reported beside the rest.
The build that is measured is the one installed for the Python that runs this, of any version, so
that two can be compared in one session.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import anndata
import lightning as L
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from measure import report

import bionemo.geneformer_t
from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.vocab import GeneVocab

SEQ_LENGTH = 2048
TIMED = """
import json, sys, time
from pathlib import Path

started, spent = {}, {"encoder wall s": 0.0, "encoder CPU s": 0.0}
ENCODER = ("IsolatedBert", "Predictions")

def before(module, _):
    if type(module).__name__ in ENCODER:
        started[module] = time.perf_counter(), time.process_time()

def after(module, *_):
    if type(module).__name__ in ENCODER:
        wall, cpu = started.pop(module)
        spent["encoder wall s"] += time.perf_counter() - wall
        spent["encoder CPU s"] += time.process_time() - cpu

from torch.nn.modules import module
module.register_module_forward_pre_hook(before)
module.register_module_forward_hook(after)

from bionemo.geneformer_t.run.cli import main
sys.argv[0] = "geneformer-t"
code = main()
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
print(json.dumps({**spent, "peak MB": peak / 1024}))
sys.exit(code)
"""
"""The command, with hooks around the encoder and the head over the vocabulary."""


def write_cells(path: Path, cells: int, vocab: GeneVocab, seed: int = 0) -> None:
    """An .h5ad of cells that express about a quarter of the genes, each to its own extent."""
    rng = np.random.default_rng(seed)
    genes = np.array(vocab.genes)
    rates = np.exp(rng.normal(-2.0, 1.5, len(genes))).astype(np.float32)
    parts = []
    for start in range(0, cells, 1000):
        depth = np.exp(rng.normal(0, 0.4, (min(1000, cells - start), 1))).astype(np.float32)
        parts.append(sp.csr_matrix(rng.poisson(depth * rates).astype(np.float32)))
    obs = pd.DataFrame(index=[f"cell_{i}" for i in range(cells)])
    anndata.AnnData(sp.vstack(parts).tocsr(), obs, pd.DataFrame(index=genes)).write_h5ad(path)


def write_checkpoint(path: Path, vocab: GeneVocab) -> None:
    """A random model, as small as models get."""
    torch.manual_seed(0)
    config = BioBertConfig(
        vocab_size=len(vocab), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=SEQ_LENGTH, initializer_range=0.5,
    )  # fmt: skip
    model = TemporalGeneformerModel(config)
    model.adopt(vocab, PairSettings(seq_length=SEQ_LENGTH))
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)


def run(folder: Path, output: str) -> dict[str, float]:
    """Seconds and memory of one process."""
    arguments = {"checkpoint": "model.ckpt", "input": "cells.h5ad", "output": output}
    given = [part for name, value in arguments.items() for part in (f"--{name}", value)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    used, started = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", TIMED, "predict", *given],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    wall, now = time.perf_counter() - started, os.times()
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    return {
        "wall s": wall,
        "CPU s": cpu,
        "other wall s": wall - found["encoder wall s"],
        "other CPU s": cpu - found["encoder CPU s"],
        **found,
    }


def main() -> None:
    """Print the medians over rounds and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", default="next.csv", help="its ending is the format")
    parser.add_argument("--keep", type=Path, help="copy the last output here")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    medians = np.exp(rng.uniform(np.log(0.5), np.log(8), options.genes)).round(4)
    names = [f"ENSG{gene:011d}" for gene in range(options.genes)]
    vocab = GeneVocab.of_genes(dict(zip(names, medians.tolist(), strict=True)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_checkpoint(folder / "model.ckpt", vocab)
        write_cells(folder / "cells.h5ad", options.cells, vocab)
        runs = [run(folder, options.output) for _ in range(options.rounds)]
        if options.keep is not None:
            options.keep.write_bytes((folder / options.output).read_bytes())
    row = {name: median(found[name] for found in runs) for name in runs[0]}
    build = str(Path(bionemo.geneformer_t.__file__).parent)
    report(
        "predict",
        [{"cells": options.cells, "genes": options.genes, **row}],
        write=False,
        build=build,
        rounds=runs,
    )


if __name__ == "__main__":
    main()
