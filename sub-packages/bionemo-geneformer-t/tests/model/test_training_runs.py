"""Options of a run that change how it is computed, not what it learns: sharding and compiling."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run

import pytest
import torch

from bionemo.geneformer_t.model import products

SCRIPT = Path(__file__).parent / "training_script.py"
COMPILED = Path(__file__).parent / "compiled_script.py"


def call(folder: Path, *command: Path | str) -> None:
    done = run(
        [sys.executable, *command],
        capture_output=True, text=True, check=False, cwd=folder, timeout=500,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


TOGETHER = {
    "ddp": ("ddp", "sharded", "sharded_layers"),
    "plain": ("plain", "compiled"),
}
"""Each reference, and the runs that one start of Python makes."""


@pytest.fixture(scope="module")
def trained(tiny_data_dir_template, tmp_path_factory) -> Callable[[str, str], dict]:
    """What a kind of run has learned, asked for by the reference and the kind."""
    folder = tmp_path_factory.mktemp("trained")
    data_dir = shutil.copytree(tiny_data_dir_template, folder / "data")

    def run_of(reference: str, kind: str) -> dict:
        if not (folder / f"{kind}.pt").exists():
            together = TOGETHER[reference]
            kinds = together if kind in together else (kind,)
            call(folder, SCRIPT, data_dir, folder, *kinds)
        return torch.load(folder / f"{kind}.pt", weights_only=True)

    return run_of


has_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU here")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "backend"),
    [
        ("cpu", "aot_eager"),
        pytest.param("cpu", "inductor", marks=pytest.mark.exhaustive),
        pytest.param("cuda", "inductor", marks=has_gpu),
    ],
)
def test_a_layer_compiles_whole_and_once_for_all_lengths_of_cells(tmp_path, device, backend):
    """Graphs are the same whichever backend writes their code; Inductor's trains below."""
    options = ["nothing", "layers"]
    if device == "cpu":
        options.append("layers:default:bf16-mixed")
        if products.failed_trial() is None:
            options.append("nothing:onednn")
    call(tmp_path, COMPILED, device, backend, *options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        # Lightning's and PyTorch's older FSDP refuse CPUs; FSDP2 does not
        ("sharded", "ddp"),
        ("sharded_layers", "ddp"),
        ("compiled", "plain"),
        pytest.param("compiled_feed_forward", "plain", marks=pytest.mark.exhaustive),
    ],
)
def test_the_run_learns_what_the_reference_learns(trained, kind, reference):
    expected, found = (trained(reference, k) for k in (reference, kind))
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert list(found["state"]) == list(expected["state"])
    for name, value in expected["state"].items():
        if name.endswith("self.key.bias"):
            continue  # its gradient is rounding alone, whose sign Adam takes at its word
        # gradients are summed in another order, and Adam divides them by their own size
        torch.testing.assert_close(found["state"][name], value, rtol=1e-3, atol=1e-4, msg=name)
