"""Two processes on the CPU: every cell once, exact resume, and an end when one of them dies."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

DRIVER = '''
"""Trains on two processes; Lightning starts this file again for the second."""
import json, os, sys
from pathlib import Path
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

data, output, dying, settings = sys.argv[1:]
original = TemporalGeneformerModel.training_step

def training_step(self, batch, batch_idx):
    with Path(f"{output}.rank{self.global_rank}").open("a") as file:
        file.write(json.dumps([self.current_epoch, batch.cells.tolist()]) + "\\n")
    if self.global_rank == 1 and self.trainer.global_step == int(dying):
        raise RuntimeError("the second process is out of order")
    return original(self, batch, batch_idx)

TemporalGeneformerModel.training_step = training_step
train_temporal_geneformer(data_dir=data, output_dir=output, **json.loads(settings))
'''

SETTINGS = {
    "seq_length": 64, "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "micro_batch_size": 4, "num_epochs": 2,
    "final_evaluation": False, "num_workers": 0,
    "accelerator": "cpu", "devices": 2, "strategy": "ddp", "log_every_n_steps": 1,
    "checkpoint_every_n_steps": 1, "resume_from_checkpoint": "last",
}  # fmt: skip


def start(folder: Path, data: Path, output: Path, dying: int = -1) -> subprocess.Popen[str]:
    driver = folder / "driver.py"
    driver.write_text(DRIVER)
    return subprocess.Popen(
        [sys.executable, str(driver), str(data), str(output), str(dying), json.dumps(SETTINGS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_every_cell_is_seen_once_and_a_signal_to_one_process_stops_and_resumes_both(
    tiny_data_dir, tmp_path
):
    whole = start(tmp_path, tiny_data_dir, tmp_path / "whole")
    log, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, log
    logs = [Path(f"{tmp_path / 'whole'}.rank{rank}").read_text() for rank in (0, 1)]
    seen = [json.loads(line) for text in logs for line in text.splitlines()]
    for epoch in (0, 1):  # 39 cells in steps of 8: the last is ragged
        assert sorted(c for e, cells in seen for c in cells if e == epoch) == list(range(39))

    stopped = start(tmp_path, tiny_data_dir, tmp_path / "parts")
    steps = Path(f"{tmp_path / 'parts'}.rank0")
    end = time.monotonic() + 200
    while not steps.exists() or len(steps.read_text().splitlines()) < 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    stopped.send_signal(signal.SIGTERM)
    log, _ = stopped.communicate(timeout=200)
    if stopped.returncode:  # unless the signal came behind the last step
        assert stopped.returncode == 75, log
        assert "stopped by SIGTERM" in log
    resumed = start(tmp_path, tiny_data_dir, tmp_path / "parts")
    log, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, log
    ends = [
        torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True)
        for run in ("whole", "parts")
    ]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name
    rows = [(tmp_path / run / "metrics.csv").read_text() for run in ("whole", "parts")]
    assert rows[0] == rows[1]


def test_a_process_that_dies_ends_the_run_with_its_error_in_the_log(tiny_data_dir, tmp_path):
    run = start(tmp_path, tiny_data_dir, tmp_path / "run", dying=2)
    log, _ = run.communicate(timeout=300)
    assert run.returncode != 0
    assert "RuntimeError: the second process is out of order" in log
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] <= 2
