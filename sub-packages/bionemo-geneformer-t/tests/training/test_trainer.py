"""A script without a guard trains once, where workers are spawned and import it again."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import TQDMProgressBar

from bionemo.geneformer_t.model import products
from bionemo.geneformer_t.training import trainer as trainer_module
from bionemo.geneformer_t.training.loggers import ProgressLines
from bionemo.geneformer_t.training.settings import TrainSettings

TRAIN = """
train_temporal_geneformer(
    data_dir={data!r}, output_dir={output!r}, seq_length=64, hidden_size=16, num_layers=1,
    num_attention_heads=2, intermediate_size=24, num_epochs=1, num_workers=1, accelerator="cpu",
    final_evaluation=False,
)
"""
IMPORTS = """
import multiprocessing
multiprocessing.set_start_method({method!r}, force=True)
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
"""
AS_WRITTEN = IMPORTS + TRAIN
GUARDED = IMPORTS + 'if __name__ == "__main__":\n' + TRAIN.replace("\n", "\n    ")
GUARDED_ELSEWHERE = IMPORTS + 'if __name__ == "__main__":\n    print("go")\n' + TRAIN


def run(tmp_path: Path, data: Path, script: str, method: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "script.py"
    path.write_text(script.format(method=method, data=str(data), output=str(tmp_path / "run")))
    return subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_script_as_the_specification_writes_it_trains_once(tiny_data_dir, tmp_path, method):
    finished = run(tmp_path, tiny_data_dir, AS_WRITTEN, method)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert 'Put what it does under `if __name__ == "__main__":`' in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.slow
def test_a_guarded_script_has_its_workers(tiny_data_dir, tmp_path):
    finished = run(tmp_path, tiny_data_dir, GUARDED, "spawn")
    assert finished.returncode == 0, finished.stderr
    assert "batches are made in the training process" not in finished.stderr
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.slow
def test_where_a_worker_does_train_it_says_what_is_wrong(tiny_data_dir, tmp_path):
    finished = run(tmp_path, tiny_data_dir, GUARDED_ELSEWHERE, "spawn")
    assert finished.returncode != 0
    assert "is importing its script" in finished.stderr
    assert 'under `if __name__ == "__main__":`' in finished.stderr


@pytest.mark.parametrize(
    ("precision", "lacks", "is_warned"),
    [("bf16-mixed", True, True), ("bf16-mixed", False, False), ("32-true", True, False)],
)
def test_bfloat16_is_advised_against_where_the_processor_has_none(
    tmp_path, monkeypatch, caplog, precision, lacks, is_warned
):
    monkeypatch.setattr(products, "lacks_bfloat16", lambda: lacks)
    settings = TrainSettings(
        data_dir=tmp_path, output_dir=tmp_path, precision=precision, accelerator="cpu"
    )
    trainer_module.make_trainer(settings, has_val=False)
    assert ("this processor has no instructions for bfloat16" in caplog.text) == is_warned


def test_a_notebook_gets_a_bar_that_needs_no_widgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning would take the bar of rich, which needs ipywidgets there."""
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    monkeypatch.setattr(sys, "stderr", stream())
    settings = TrainSettings(data_dir=tmp_path, output_dir=tmp_path, accelerator="cpu")
    callbacks = trainer_module.make_trainer(settings, has_val=False).callbacks
    assert any(isinstance(one, TQDMProgressBar) for one in callbacks)
    assert not any(isinstance(one, ProgressLines) for one in callbacks)
