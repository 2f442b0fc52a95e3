"""Commands that apply a model start without what trains one."""

import json
import subprocess
import sys

import pytest

TRAINING = ("lightning", "torchmetrics", "transformers", "tensorboard")
DRAWING = ("matplotlib", "scanpy", "jinja2", "scipy.stats")
SCORING = ("sklearn", "scipy.optimize", "scipy.spatial", "scipy.special")
SCRIPT = """
import contextlib, io, json, sys
from bionemo.geneformer_t.run.cli import main

for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()):
        code = main(arguments)
    print(json.dumps([arguments[0], code, [*sys.modules]]))
"""


def modules_after(commands):
    """Command -> the packages that were imported when it had ended, in one process."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([list(map(str, one)) for one in commands])],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, done.stdout.splitlines())
    found = {}
    for name, code, modules in lines:
        assert code == 0, name
        found[name] = set(modules)
    return found


@pytest.mark.slow
def test_no_command_but_those_that_train_imports_lightning(
    untrained_checkpoint, tiny_data_dir, tmp_path
) -> None:
    cells, going = tiny_data_dir / "train" / "data.h5ad", tmp_path / "going.h5ad"
    model = ("--checkpoint", untrained_checkpoint)
    found = modules_after(
        [
            ("doctor", untrained_checkpoint, tiny_data_dir),
            ("predict", *model, "--input", cells, "--output", tmp_path / "next.csv"),
            ("embed", *model, "--input", cells, "--output", tmp_path / "embedded.h5ad"),
            ("transitions", *model, "--input", cells, "--output", going),
            ("evaluate", *model, "--data_dir", tiny_data_dir),
            ("export", *model, "--output_dir", tmp_path / "exported"),
        ]
    )
    for name, modules in found.items():
        assert modules.isdisjoint(TRAINING), name
    for name in ("doctor", "predict", "embed", "transitions"):
        assert found[name].isdisjoint(DRAWING), name
    assert found["doctor"].isdisjoint(SCORING)
