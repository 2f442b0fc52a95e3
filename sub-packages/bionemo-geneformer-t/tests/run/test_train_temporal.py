"""A training run from end to end, and what it refuses."""

import csv
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.training.loggers import progress_line

SMALL = {
    "seq_length": 64,
    "hidden_size": 16,
    "num_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "micro_batch_size": 8,
    "num_epochs": 2,
    "final_evaluation": False,
    "log_every_n_steps": 1,
    "num_workers": 0,
    "accelerator": "cpu",
}
MODULE = "bionemo.geneformer_t.run.train_temporal"


def train(data_dir: Path, output_dir: Path, **settings) -> Path:
    return train_temporal_geneformer(
        data_dir=data_dir, output_dir=output_dir, **{**SMALL, **settings}
    )


def command_line(data_dir: Path, output_dir: Path, **settings) -> list[str]:
    options = {"data_dir": data_dir, "output_dir": output_dir, **SMALL, **settings}
    return [sys.executable, "-m", MODULE, *(f"--{k}={v}" for k, v in options.items())]


def losses(output_dir: Path, name: str = "train/loss") -> list[float]:
    with (output_dir / "metrics.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


@pytest.mark.slow
def test_a_run_leaves_checkpoints_metrics_settings_and_a_picture(tiny_data_dir, tmp_path):
    best = train(tiny_data_dir, tmp_path / "run")
    assert best.parent == tmp_path / "run" / "checkpoints"
    assert (best.parent / "last.ckpt").is_file()
    assert len(losses(tmp_path / "run")) == 10  # 39 cells with successors: 5 steps, twice
    assert len(losses(tmp_path / "run", "val/loss")) == 2
    assert (tmp_path / "run" / "loss_curve.png").stat().st_size > 1000
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))
    predicted = TemporalGeneformerModel.load_from_checkpoint(best).predict_next_cell(
        torch.tensor([[5, 6, 7]])
    )
    assert predicted.token_ids.shape == (1, 10)


@pytest.mark.slow
def test_training_lowers_the_loss(tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "run", num_epochs=30, learning_rate=5e-3, dropout_prob=0.0)
    curve = losses(tmp_path / "run", "val/loss")
    assert curve[-1] < curve[0] - 0.2


@pytest.mark.slow
def test_the_effective_config_repeats_the_run(tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "first", learning_rate=3e-4)
    train_temporal_geneformer(
        config=tmp_path / "first" / "config.yaml", output_dir=tmp_path / "second"
    )
    assert losses(tmp_path / "first") == losses(tmp_path / "second")
    written = [
        yaml.safe_load((tmp_path / n / "config.yaml").read_text()) for n in ("first", "second")
    ]
    assert {**written[0], "output_dir": ""} == {**written[1], "output_dir": ""}


def test_without_validation_cells_the_last_checkpoint_is_returned(tiny_data_dir, tmp_path):
    (tiny_data_dir / "val").rename(tmp_path / "elsewhere")
    (tiny_data_dir / "test").rename(tmp_path / "elsewhere_too")
    assert train(tiny_data_dir, tmp_path / "run").name == "last.ckpt"
    with pytest.raises(ValueError, match="early_stopping_patience needs validation cells"):
        train(tiny_data_dir, tmp_path / "other", early_stopping_patience=1)


def test_max_steps_and_limits_end_the_run_early(tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "steps", max_steps=3)
    assert len(losses(tmp_path / "steps")) == 3
    assert len(losses(tmp_path / "steps", "val/loss")) == 1
    train(tiny_data_dir, tmp_path / "limits", limit_train_batches=2, limit_val_batches=1)
    assert len(losses(tmp_path / "limits")) == 4


@pytest.mark.slow
def test_early_stopping_ends_a_run_that_no_longer_learns(tiny_data_dir, tmp_path):
    train(
        tiny_data_dir,
        tmp_path / "run",
        num_epochs=50,
        learning_rate=1.0,
        warmup_steps=0,
        early_stopping_patience=2,
    )
    assert len(losses(tmp_path / "run", "val/loss")) < 50


@pytest.mark.slow
def test_a_folder_that_holds_another_run_is_refused_or_resumed(tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "run")
    with pytest.raises(
        FileExistsError, match=r"--resume_from_checkpoint last \(in Python: .*='last'"
    ):
        train(tiny_data_dir, tmp_path / "run")
    before = losses(tmp_path / "run")
    train(tiny_data_dir, tmp_path / "run", num_epochs=3, resume_from_checkpoint="last")
    after = losses(tmp_path / "run")
    assert after[: len(before)] == before
    assert len(after) == 15


def test_resuming_the_last_of_nothing_starts_afresh(tiny_data_dir, tmp_path, caplog):
    train(tiny_data_dir, tmp_path / "run", num_epochs=1, resume_from_checkpoint="last")
    assert "holds no checkpoint yet: starting from the beginning" in caplog.text
    assert len(losses(tmp_path / "run")) == 5


def test_resuming_from_a_checkpoint_that_is_not_there_is_refused(tiny_data_dir, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a checkpoint at .*other\.ckpt"):
        train(tiny_data_dir, tmp_path / "run", resume_from_checkpoint=str(tmp_path / "other.ckpt"))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_accumulation_gives_the_same_losses_as_one_large_batch(tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "whole", dropout_prob=0.0)
    train(
        tiny_data_dir, tmp_path / "parts", dropout_prob=0.0, micro_batch_size=2, global_batch_size=8
    )
    # float32 sums in another order
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)


@pytest.mark.slow
def test_batches_of_so_many_tokens_give_the_losses_of_one_large_batch(tiny_data_dir, tmp_path):
    data = TemporalGeneformerDataModule(tiny_data_dir, seq_length=64, max_tokens_per_batch=150)
    parts = len(data.train_dataloader())
    assert parts > 5
    for budget, accumulated in ((150, parts), (100_000, 1)):  # an epoch is one step for both
        train(
            tiny_data_dir, tmp_path / str(budget), dropout_prob=0.0,
            max_tokens_per_batch=budget, accumulate_grad_batches=accumulated,
        )  # fmt: skip
        again = {"config": tmp_path / str(budget) / "config.yaml"}
        train_temporal_geneformer(**again, output_dir=tmp_path / f"{budget} again")
        assert losses(tmp_path / f"{budget} again") == losses(tmp_path / str(budget))
    # float32 sums in another order
    assert losses(tmp_path / "150") == pytest.approx(losses(tmp_path / "100000"), rel=1e-4)


def test_sizes_of_a_step_that_contradict_each_other_are_refused(tiny_data_dir, tmp_path):
    for settings, message in (
        ({"micro_batch_size": 4, "max_tokens_per_batch": 99}, "give one of the two"),
        ({"max_tokens_per_batch": 99, "global_batch_size": 8}, "set accumulate_grad_batches"),
        ({"global_batch_size": 16, "accumulate_grad_batches": 2}, "give one of the two"),
        ({"accumulate_grad_batches": 0}, "accumulate_grad_batches must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            train(tiny_data_dir, tmp_path / "run", **settings)


def test_a_global_batch_that_does_not_divide_is_refused_with_the_numbers(tiny_data_dir, tmp_path):
    with pytest.raises(ValueError, match=r"micro_batch_size x processes = 8 x 1 = 8; got 20"):
        train(tiny_data_dir, tmp_path / "run", global_batch_size=20)


def test_validation_inside_an_optimizer_step_is_refused(tiny_data_dir, tmp_path):
    settings = {"micro_batch_size": 4, "global_batch_size": 8, "val_check_interval": 3}
    with pytest.raises(ValueError, match=r"is 3 micro-batches, an optimizer step takes 2; .* 4"):
        train(tiny_data_dir, tmp_path / "run", **settings)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*AMP with fp16 is not supported on CPU")
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains(tiny_data_dir, tmp_path, precision):
    train(tiny_data_dir, tmp_path / "mixed", precision=precision, dropout_prob=0.0)
    train(tiny_data_dir, tmp_path / "full", dropout_prob=0.0)
    # 8 to 11 bits of mantissa in the matrix products
    assert losses(tmp_path / "mixed") == pytest.approx(losses(tmp_path / "full"), rel=0.02)


@pytest.mark.slow
def test_wandb_works_offline(tiny_data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(tiny_data_dir, tmp_path / "run", use_wandb=True, num_epochs=1)
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))


def test_running_out_of_memory_says_what_to_lower(tiny_data_dir, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")

    monkeypatch.setattr(TemporalGeneformerModel, "training_step", fail)
    with pytest.raises(MemoryError, match=r"lower micro_batch_size \(now 8.*seq_length \(now 64\)"):
        train(tiny_data_dir, tmp_path / "run")


def test_an_output_folder_that_cannot_be_made_is_named(tiny_data_dir, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PermissionError, match=r"output_dir .*file/run cannot be written"):
        train(tiny_data_dir, tmp_path / "file" / "run")


@pytest.mark.slow
def test_two_processes_give_the_loss_curve_of_one(tiny_data_dir, tmp_path):
    """39 cells in steps of 8: the last step is ragged, and one rank gets fewer cells."""
    train(tiny_data_dir, tmp_path / "one", dropout_prob=0.0)
    settings = {"devices": 2, "strategy": "ddp", "micro_batch_size": 4, "dropout_prob": 0.0}
    finished = subprocess.run(
        command_line(tiny_data_dir, tmp_path / "two", **settings),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert finished.returncode == 0, finished.stderr
    for name in ("train/loss", "val/loss"):
        expected = losses(tmp_path / "one", name)
        # float32 sums in another order
        assert losses(tmp_path / "two", name) == pytest.approx(expected, rel=1e-4)


def test_help_answers_within_a_second():
    """Of its own time: the other tests' is not counted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = subprocess.run(
        [sys.executable, "-m", MODULE, "--help"], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    assert "--wandb-project" in finished.stdout


@pytest.mark.parametrize(
    "given",
    [{"accelerator": "cuda"}, {"strategy": "dpp"}, {"precision": "fp16"}, {"devices": 0}],
)
@pytest.mark.slow
def test_hardware_that_is_not_there_is_refused_and_leaves_the_folder_free(
    tiny_data_dir, tmp_path, given
):
    if given.get("accelerator") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is an NVIDIA GPU here")
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match=r"this computer cannot train with .*To train on the CPU"):
        train(tiny_data_dir, folder, **given)
    assert not (folder / "config.yaml").exists()


def test_without_a_terminal_each_validation_says_how_far_training_is():
    assert progress_line(1475, {"val/loss": torch.tensor(5.4661)}) == (
        "step 1,475: validation loss 5.466"
    )
    assert progress_line(3, {}) == "step 3"
