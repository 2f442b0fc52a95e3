"""Options of a run that change how it is computed, not what it learns: sharding and compiling."""

import os
import sys
from pathlib import Path
from subprocess import run

import pytest
import torch

SCRIPT = Path(__file__).parent / "training_script.py"
COMPILED = Path(__file__).parent / "compiled_script.py"


def call(folder: Path, *command: Path | str) -> None:
    done = run(
        [sys.executable, *command],
        capture_output=True, text=True, check=False, cwd=folder, timeout=500,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def trained(folder: Path, data_dir: Path, kind: str) -> dict:
    out = folder / f"{kind}.pt"
    call(folder, SCRIPT, data_dir, kind, out)
    return torch.load(out, weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(
                not torch.cuda.is_available(), reason="there is no NVIDIA GPU here"
            ),
        ),
    ],
)
@pytest.mark.parametrize("recompute", ["nothing", "layers"])
def test_a_layer_compiles_whole_and_once_for_all_lengths_of_cells(tmp_path, device, recompute):
    call(tmp_path, COMPILED, device, recompute)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        # Lightning's and PyTorch's older FSDP refuse CPUs; FSDP2 does not
        ("sharded", "ddp"),
        ("sharded_layers", "ddp"),
        ("compiled", "plain"),
        ("compiled_nothing", "plain"),
    ],
)
def test_the_run_learns_what_the_reference_learns(tiny_data_dir, tmp_path, kind, reference):
    expected, found = (trained(tmp_path, tiny_data_dir, k) for k in (reference, kind))
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert list(found["state"]) == list(expected["state"])
    for name, value in expected["state"].items():
        if name.endswith("self.key.bias"):
            continue  # its gradient is rounding alone, whose sign Adam takes at its word
        # gradients are summed in another order, and Adam divides them by their own size
        torch.testing.assert_close(found["state"][name], value, rtol=1e-3, atol=1e-4, msg=name)
