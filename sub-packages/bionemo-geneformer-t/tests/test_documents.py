"""Every Python block and shell command of the README and the specification runs.

Only paths, sizes and hardware are substituted, by the tables below; what is left must run as it
stands. A substitution that no document needs any more fails the test.
"""

import re
import shutil
from pathlib import Path

import pytest
import terminal

REPOSITORY = Path(__file__).resolve().parents[3]
PACKAGE = REPOSITORY / "sub-packages" / "bionemo-geneformer-t"
SPECIFICATION = Path("shared") / "spec" / "README.md"

DATA = (
    "path/to/your/scdl/data", "/path/to/scdl/data", "path/to/data", "data/pancreas_development",
    "data/large_dataset", "data/custom_dataset", "data/small_test", "data/mine",
)  # fmt: skip
OUTPUTS = (
    "/path/to/output", "path/to/output", "outputs/temporal_model", "outputs/multi_gpu",
    "outputs/debug", "data/simulated",
)  # fmt: skip
SIZES = {
    "hidden_size=768": "hidden_size=32",
    "hidden_size=1024": "hidden_size=32",
    "num_hidden_layers=12": "num_hidden_layers=2",
    "num_hidden_layers=16": "num_hidden_layers=2",
    "num_attention_heads=12": "num_attention_heads=4",
    "num_attention_heads=16": "num_attention_heads=4",
    "num_epochs=10": "num_epochs=1, hidden_size=32, num_layers=2",
    "num_epochs=20": "num_epochs=1, hidden_size=32, num_layers=2",
    "num_epochs=1,": "num_epochs=1, hidden_size=32, num_layers=2,",
    "max_epochs=50": "max_epochs=1, default_root_dir=OUTPUT",
    "--recipe auto": "--recipe auto --max_steps 20",
    "--num_epochs 10": "--num_epochs 1 --hidden_size 32 --num_layers 2",
    "--global_batch_size 64": "--global_batch_size 16 --num_epochs 1 --hidden_size 32",
}
CLUSTERED = "prepare cells.h5ad --output_dir data/by_cluster"
"""The one command whose cells need clusters."""
HARDWARE = {
    'accelerator="gpu"': 'accelerator="cpu"',
    "devices=2": "devices=1",
    'strategy="ddp"': 'strategy="auto"',
    'precision="16-mixed"': 'precision="bf16-mixed"',
    "--accelerator gpu": "--accelerator cpu",
    "--devices 4": "--devices 2",
    "--precision 16-mixed": "--precision bf16-mixed",
}
pytestmark = pytest.mark.usefixtures("without_type_checks")  # as a reader runs it


def documents() -> list[Path]:
    return [REPOSITORY / "README.md", REPOSITORY.parent / SPECIFICATION]


def blocks(document: Path, language: str) -> list[str]:
    if not document.is_file():
        pytest.skip(f"this document is not here: {document}")
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)


def commands(document: Path) -> list[str]:
    """The shell commands of a document, continuation lines joined and comments left out."""
    lines = terminal.commands("\n".join(blocks(document, "bash")))
    return [" ".join(re.sub(r"\s#.*", "", line).split()) for line in lines]


def substituted(text: str, data_dir: Path, folder: Path, checkpoint: Path) -> str:
    table = {
        **{path: str(folder / f"output{number}") for number, path in enumerate(OUTPUTS)},
        **dict.fromkeys(DATA, str(data_dir)),
        **SIZES,
        **HARDWARE,
        "--output_dir data/mine": f"--output_dir {folder / 'prepared'}",
        CLUSTERED: f"prepare {folder / 'clustered.h5ad'} --output_dir {folder / 'by_cluster'}",
        "path/to/checkpoint.ckpt": str(checkpoint),
        "cells.h5ad": str(data_dir / "train" / "data.h5ad"),
        "next.csv": str(folder / "next.csv"),
    }
    anything = "|".join(re.escape(old) for old in sorted(table, key=len, reverse=True))
    text = re.sub(rf"(?<![_\w])({anything})", lambda found: table[found[0]], text)
    return text.replace("=OUTPUT", f"={str(folder)!r}")


@pytest.fixture(scope="session")
def checkpoint(tiny_data_dir_template, tmp_path_factory) -> Path:
    from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

    # of its own, for a training leaves caches beside its data, which others would copy
    data = shutil.copytree(tiny_data_dir_template, tmp_path_factory.mktemp("checkpoint_data") / "d")
    return train_temporal_geneformer(
        data_dir=data,
        output_dir=tmp_path_factory.mktemp("checkpoint") / "run",
        seq_length=64,
        hidden_size=16,
        num_layers=2,
        num_attention_heads=2,
        num_epochs=1,
        num_workers=0,
        final_evaluation=False,
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the user's terminal, not ours
@pytest.mark.parametrize("document", documents(), ids=["readme", "specification"])
def test_every_python_block_runs(document, tiny_data_dir, tmp_path, checkpoint, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    found = blocks(document, "python")
    assert len(found) >= 8
    for block in found:
        code = substituted(block, tiny_data_dir, tmp_path, checkpoint)
        exec(compile(code, f"{document.name}: {block[:60]!r}", "exec"), namespace)
    assert namespace["predictions"].token_ids.shape == (1, 10)
    assert sum(map(sum, namespace["mask"])) == 9 * 6


@pytest.mark.slow
@pytest.mark.parametrize("document", documents(), ids=["readme", "specification"])
def test_every_shell_command_runs(document, tiny_data_dir, tmp_path, checkpoint, example_cells):
    """One that stands in the README and in the specification runs as the README's."""
    example_cells.write_h5ad(tmp_path / "clustered.h5ad")
    found = commands(document)
    assert len(found) >= 4
    readme = documents()[0]
    done = set() if document == readme else set(commands(readme))
    for command in (command for command in found if command not in done):
        line = substituted(command, tiny_data_dir, tmp_path, checkpoint)
        if line.startswith("make"):
            line = f"{line} --dry-run --directory {REPOSITORY}"
        if line.startswith("pip install"):
            target = str(PACKAGE) + ("[dev]" if "[dev]" in line else "")
            line = f"pip install --dry-run --no-deps --no-build-isolation -e {target}"
        terminal.run_script(line, tmp_path, own_process="geneformer-t doctor" in line)


def test_no_substitution_is_left_over():
    present = [document for document in documents() if document.is_file()]
    text = "\n".join(
        line for document in present for line in [*blocks(document, "python"), *commands(document)]
    )
    unused = [old for old in (*DATA, *OUTPUTS, *SIZES, *HARDWARE) if old not in text]
    assert not unused
