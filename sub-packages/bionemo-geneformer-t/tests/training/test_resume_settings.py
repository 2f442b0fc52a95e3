"""Settings that are given on a resume are used from then on, or refused by their name."""

import csv
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml

from bionemo.geneformer_t.inference.checkpoint import summarise_checkpoint
from bionemo.geneformer_t.model.step.finite import NotFiniteError
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.training.resume_settings import (
    ON_RESUME,
    OnResume,
    changes,
    check_settings,
)
from bionemo.geneformer_t.training.settings import TrainSettings
from bionemo.geneformer_t.training.stop_signals import RunStopped

SMALL = {
    "seq_length": 64, "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "num_epochs": 2, "final_evaluation": False, "log_every_n_steps": 1,
    "num_workers": 0, "accelerator": "cpu", "checkpoint_every_n_steps": 1, "warmup_steps": 0,
}  # fmt: skip
PAGE = Path(__file__).resolve().parents[4] / "docs" / "reliability.md"


def train(data_dir: Path, output_dir: Path, **settings) -> Path:
    return train_temporal_geneformer(
        data_dir=data_dir, output_dir=output_dir, **{**SMALL, **settings}
    )


def resume(data_dir: Path, output_dir: Path, **settings) -> Path:
    return train(data_dir, output_dir, resume_from_checkpoint="last", **settings)


def rows(output_dir: Path) -> list[dict[str, str]]:
    with (output_dir / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def last(output_dir: Path) -> dict:
    return torch.load(output_dir / "checkpoints" / "last.ckpt", weights_only=True)


def everything(output_dir: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in output_dir.rglob("*") if p.is_file()}


@pytest.fixture
def stopped_inside(tiny_data_dir, tmp_path, monkeypatch) -> Path:
    """A run that was cut short behind two of five batches of its first epoch."""
    original, seen = TemporalGeneformerModel.training_step, []

    def stop_in_the_third(self, *args):
        seen.append(1)
        if len(seen) == 3:
            raise RunStopped("as by a kill")
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(TemporalGeneformerModel, "training_step", stop_in_the_third)
        with pytest.raises(RunStopped):
            train(tiny_data_dir, tmp_path / "run")
    return tmp_path / "run"


def test_every_setting_is_in_the_table():
    assert set(ON_RESUME) == {field.name for field in fields(TrainSettings)}


def test_the_page_on_reliability_has_the_same_table():
    lines = [line.split("|")[1:3] for line in PAGE.read_text().splitlines() if line.count("`") > 1]
    told = {kind.strip(): names for names, kind in (line for line in lines if len(line) == 2)}
    for kind in OnResume:
        named = {name for name, its in ON_RESUME.items() if its is kind}
        assert {word.strip(" `") for word in told[kind.value].split(",")} == named


@pytest.mark.slow
def test_rates_that_are_given_are_used_from_then_on_and_the_record_says_so(
    tiny_data_dir, stopped_inside, caplog
):
    rates = {"learning_rate": 3e-5, "weight_decay": 0.5, "gradient_clip_val": 0.5}
    resume(tiny_data_dir, stopped_inside, **rates)
    found = [float(row["learning_rate"]) for row in rows(stopped_inside) if row["learning_rate"]]
    # a cosine over 10 steps from 1e-4 for two of them, and from 3e-5 for the others
    assert found[:2] == pytest.approx([1e-4, 0.5e-4 * (1 + 0.9510565)], rel=1e-5)
    assert found[2] == pytest.approx(1.5e-5 * (1 + 0.8090170), rel=1e-5)
    assert found[9] == pytest.approx(1.5e-5 * (1 - 0.9510565), rel=1e-4)
    groups = last(stopped_inside)["optimizer_states"][0]["param_groups"]
    assert [group["initial_lr"] for group in groups] == [3e-5, 3e-5]
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert last(stopped_inside)["hyper_parameters"]["learning_rate"] == 3e-5
    text = (stopped_inside / "config.yaml").read_text()
    assert text.startswith("# step 2: ")
    for line in (text.splitlines()[0], caplog.text):
        assert "learning_rate was 0.0001 and is 3e-05" in line
        assert "weight_decay was 0.01 and is 0.5" in line
    assert yaml.safe_load(text)["learning_rate"] == 3e-5


@pytest.mark.slow
def test_the_record_is_of_the_steps_that_are_kept(tiny_data_dir, tmp_path, monkeypatch):
    """A resume from an earlier checkpoint, or one that was killed before it saved anything."""
    run = tmp_path / "run"

    def changes_told() -> list[str]:
        lines = (run / "config.yaml").read_text().splitlines()
        return [line for line in lines if line.startswith("#")]

    best = train(tiny_data_dir, run, num_epochs=1)
    kept = best.with_name("kept.ckpt")
    kept.write_bytes(best.read_bytes())
    resume(tiny_data_dir, run, num_epochs=2, learning_rate=3e-5)
    later = ["# step 5: num_epochs was 1 and is 2; learning_rate was 0.0001 and is 3e-05"]
    assert changes_told() == later
    again = {"max_steps": 6, "resume_from_checkpoint": str(kept)}
    train(tiny_data_dir, run, learning_rate=1e-5, **again)
    told = "num_epochs was 1 and is 2; max_steps was -1 and is 6; learning_rate was 0.0001 and is"
    assert changes_told() == [f"# step 5: {told} 1e-05"]

    def kill(*_):
        raise RunStopped("as by a kill")

    with monkeypatch.context() as patch:
        patch.setattr(TemporalGeneformerModel, "training_step", kill)
        with pytest.raises(RunStopped):
            resume(tiny_data_dir, run, learning_rate=7e-5)
    assert changes_told()[1].endswith("learning_rate was 1e-05 and is 7e-05")
    resume(tiny_data_dir, run, max_steps=7, learning_rate=1e-5)  # as if that had not been
    assert changes_told() == [f"# step 5: {told} 1e-05", "# step 6: max_steps was 6 and is 7"]


@pytest.mark.slow
def test_rates_by_depth_change_too_and_their_groups_do_not(tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "run", layer_lr_decay=0.9, num_epochs=1)
    resume(tiny_data_dir, tmp_path / "run", layer_lr_decay=0.5)
    groups = last(tmp_path / "run")["optimizer_states"][0]["param_groups"]
    found = sorted({group["initial_lr"] for group in groups})
    assert found == pytest.approx([1.25e-5, 2.5e-5, 5e-5, 1e-4])
    with pytest.raises(ValueError, match=r"layer_lr_decay was 0\.5 and is None"):
        resume(tiny_data_dir, tmp_path / "run", num_epochs=3)


@pytest.mark.slow
def test_what_was_not_changed_keeps_its_bits(tiny_data_dir, stopped_inside, tmp_path):
    train(tiny_data_dir, tmp_path / "whole")
    resume(tiny_data_dir, stopped_inside)
    assert rows(stopped_inside) == rows(tmp_path / "whole")
    weights = [last(run)["state_dict"] for run in (stopped_inside, tmp_path / "whole")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.slow
def test_the_advice_after_a_loss_that_is_not_finite_works(tiny_data_dir, tmp_path, monkeypatch):
    original = TemporalGeneformerModel.summed_loss

    def overflow(self, batch):
        rate = self.optimizers().param_groups[0]["lr"] if self.trainer.training else 0
        factor = float("inf") if rate > 1e-3 and self.trainer.global_step == 3 else 1.0
        return original(self, batch) * factor

    monkeypatch.setattr(TemporalGeneformerModel, "summed_loss", overflow)
    with pytest.raises(
        NotFiniteError, match=r"Lower learning_rate .*--resume_from_checkpoint last"
    ):
        train(tiny_data_dir, tmp_path / "run", learning_rate=1e-2)
    with pytest.raises(NotFiniteError):
        resume(tiny_data_dir, tmp_path / "run", learning_rate=1e-2)
    resume(tiny_data_dir, tmp_path / "run", learning_rate=1e-4)
    assert [int(row["step"]) for row in rows(tmp_path / "run") if row["train/loss"]] == [*range(10)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": 7}, r"after 2 batches: seed was 42 and is 7"),
        ({"context_dropout": 0.3}, r"context_dropout was 0.0 and is 0.3"),
        ({"next_cells_per_cell": 2}, r"next_cells_per_cell was 1 and is 2"),
        ({"limit_train_batches": 4}, r"limit_train_batches was None and is 4"),
        ({"micro_batch_size": 4}, r"2 batches of 8 cells .*micro_batch_size was 8 and is 4"),
        ({"accumulate_grad_batches": 2}, r"accumulate_grad_batches was 1 and is 2"),
        ({"max_tokens_per_batch": 250}, r"max_tokens_per_batch was None and is 250"),
        ({"seq_length": 32}, r"seq_length was 64 and is 32.* start a new run .* with --pretrained"),
        ({"mask_prob": 0.5}, r"mask_prob was 0.15 and is 0.5"),
        ({"target_sum": 1e6}, r"target_sum was 10000.0 and is 1000000.0"),
        ({"hidden_size": 32}, r"hidden_size was 16 and is 32"),
        ({"rank_knots": 4}, r"rank_knots was 0 and is 4"),
        ({"gene_embeddings": "expression"}, r"gene_embeddings was 'random' and is 'expression'"),
        ({"layer_lr_decay": 0.9}, r"layer_lr_decay was None and is 0.9"),
    ],
)
@pytest.mark.slow
def test_what_cannot_change_inside_an_epoch_is_refused_and_touches_nothing(
    tiny_data_dir, stopped_inside, given, message
):
    before = everything(stopped_inside)
    with pytest.raises(ValueError, match=message):
        resume(tiny_data_dir, stopped_inside, use_wandb=False, **given)
    assert everything(stopped_inside) == before


@pytest.mark.slow
def test_between_epochs_seed_and_sizes_may_change_and_every_cell_is_seen_once(
    tiny_data_dir, tmp_path, monkeypatch
):
    train(tiny_data_dir, tmp_path / "run", num_epochs=1)
    seen: list[int] = []
    original = TemporalGeneformerModel.training_step

    def noted(self, batch, batch_idx):
        seen.extend(batch.cells.tolist())
        return original(self, batch, batch_idx)

    monkeypatch.setattr(TemporalGeneformerModel, "training_step", noted)
    resume(tiny_data_dir, tmp_path / "run", seed=7, micro_batch_size=4, context_dropout=0.2)
    assert sorted(seen) == list(range(39))
    entry = last(tmp_path / "run")["geneformer_t"]
    assert (entry["pair_settings"]["seed"], entry["provenance"]["seed"]) == (7, 7)
    assert entry["pair_settings"]["context_dropout"] == 0.2


@pytest.mark.slow
def test_patience_and_the_number_of_best_checkpoints_are_those_given(
    tiny_data_dir, tmp_path, monkeypatch
):
    def worse_each_time(self, batch, batch_idx):
        self.log("val/loss", torch.tensor(1.0 + self.current_epoch), batch_size=1)

    def num_validations() -> int:
        return len([row for row in rows(tmp_path / "run") if row["val/loss"]])

    monkeypatch.setattr(TemporalGeneformerModel, "validation_step", worse_each_time)
    train(tiny_data_dir, tmp_path / "run", early_stopping_patience=1, num_epochs=5, save_top_k=3)
    assert num_validations() == 2
    for patience, expected, kept in ((1, 2, 2), (2, 3, 2), (None, 5, 1)):
        best = resume(
            tiny_data_dir, tmp_path / "run", early_stopping_patience=patience, num_epochs=5,
            save_top_k=3 if patience == 1 else kept,
        )  # fmt: skip
        assert num_validations() == expected
        found = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("step=*"))
        assert found[0] == best.name == "step=0000005-val_loss=1.0000.ckpt"
        assert len(found) == kept


@pytest.mark.slow
def test_dropout_that_is_given_is_used(tiny_data_dir, stopped_inside):
    resume(tiny_data_dir, stopped_inside, dropout_prob=0.3)
    config = last(stopped_inside)["hyper_parameters"]["config"]
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == 0.3
    settings = summarise_checkpoint(stopped_inside / "checkpoints" / "last.ckpt").run_settings
    assert settings is not None
    assert settings["dropout_prob"] == 0.3


@pytest.mark.slow
def test_another_number_of_threads_is_named(tiny_data_dir, stopped_inside, monkeypatch, caplog):
    numerics = last(stopped_inside)["callbacks"]["RunCheckpoints"]["numerics"]
    assert numerics["threads"] == torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    resume(tiny_data_dir, stopped_inside)
    assert f"threads: {numerics['threads']} then, 99 now" in caplog.text
    assert "differ in the last bits" in caplog.text


def test_a_run_refused_late_touches_nothing(tiny_data_dir, stopped_inside, monkeypatch):
    """Whatever goes wrong while Lightning restores the checkpoint."""

    def fail(*_):
        raise ValueError("weights of another model")

    monkeypatch.setattr(TemporalGeneformerModel, "on_load_checkpoint", fail)
    before = everything(stopped_inside)
    with pytest.raises(ValueError, match="weights of another model"):
        resume(tiny_data_dir, stopped_inside, learning_rate=1e-5)
    assert everything(stopped_inside) == before


def test_what_an_older_version_did_not_know_is_no_change():
    before, now = {"seed": 1}, {"seed": 1, "compile": True, "mask_prob": 0.3}
    assert changes(before, now, *OnResume) == {}
    check_settings(before, now, where="a checkpoint", batches_done=3)
