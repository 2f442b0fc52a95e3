"""From cells to a prediction with the installed package alone, as `make package` tries its wheel.

    cd EMPTY_FOLDER; PYTHON_OF_AN_ENVIRONMENT try_installed.py

Needs nothing but the package and what it requires; it writes into the current folder.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

DATA, RUN, PREDICTIONS = Path("data"), Path("run"), Path("next.csv")
CHECKPOINT = RUN / "checkpoints" / "last.ckpt"
CELLS = DATA / "test" / "data.h5ad"
NUM_CELLS = 100
SMALL = [
    "--seq_length=64", "--hidden_size=16", "--num_layers=1", "--num_attention_heads=2",
    "--intermediate_size=32", "--num_epochs=1", "--num_workers=0", "--accelerator=cpu",
]  # fmt: skip
COMMANDS: dict[str, list[str | Path]] = {
    "--help": [],
    "simulate": ["--output_dir", DATA, f"--num_cells={NUM_CELLS}", "--num_genes=60"],
    "train": ["--data_dir", DATA, "--output_dir", RUN, *SMALL],
    "predict": ["--checkpoint", CHECKPOINT, "--input", CELLS, "--output", PREDICTIONS],
    "doctor": [CHECKPOINT, DATA],
    "report": ["--checkpoint", CHECKPOINT, "--data_dir", DATA, "--output_dir", "page"],
}


def check_is_installed() -> None:
    """The package is that of the environment.

    Raises:
        RuntimeError: It is that of a checkout.
    """
    spec = find_spec("bionemo.geneformer_t")
    if spec is None or not str(spec.origin).startswith(sys.prefix):
        found = spec and spec.origin
        raise RuntimeError(f"the package should lie in {sys.prefix}, but is {found}")


def main() -> None:
    """Run all commands, each with the script that the wheel installed."""
    check_is_installed()
    script = Path(sys.executable).parent / "geneformer-t"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    for command, arguments in COMMANDS.items():
        print(f"$ geneformer-t {command}", flush=True)
        subprocess.run([script, command, *arguments], env=environment, check=True)
    predicted = len(PREDICTIONS.read_text(encoding="utf-8").splitlines())
    if predicted < 2:
        raise RuntimeError(f"{PREDICTIONS}: no prediction, in {predicted} lines")
    print("the installed package works")


if __name__ == "__main__":
    main()
