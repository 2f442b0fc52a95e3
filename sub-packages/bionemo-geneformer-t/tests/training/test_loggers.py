"""One run is one W&B run with each row once, however often it is killed and resumed."""

from types import SimpleNamespace

import lightning.pytorch.loggers.wandb as lightnings
import pytest
import wandb

from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.training.loggers import WANDB_FILE, WandbLog, sent_rows

SMALL = {
    "seq_length": 64, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 24, "num_workers": 0, "accelerator": "cpu", "log_every_n_steps": 1,
    "checkpoint_every_n_steps": 2, "use_wandb": True, "final_evaluation": False,
}  # fmt: skip


class KilledError(BaseException):
    """Nothing may catch it, as nothing catches SIGKILL."""


class Service:
    """What W&B was told: its runs by id, each with its rows; kills who sends too many."""

    def __init__(self, rows_until_killed=10**9):
        self.runs = {}
        self.started = self.finished = 0
        self.rows_until_killed = rows_until_killed

    def init(self, **settings):
        assert settings["resume"] == "allow"
        self.started += 1
        left = self.rows_until_killed
        rows = self.runs.setdefault(settings["id"], [])

        def log(row):
            nonlocal left
            rows.append(row)
            left -= 1
            if left == 0:
                raise KilledError

        def finish(exit_code):
            self.finished += 1

        return SimpleNamespace(
            id=settings["id"], log=log, finish=finish, config={}, name="", define_metric=None
        )


def train(data_dir, output_dir, **settings):
    return train_temporal_geneformer(
        data_dir=data_dir, output_dir=output_dir, **{**SMALL, "num_epochs": 2, **settings}
    )


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_is_one_run_with_each_row_once(
    tiny_data_dir, tmp_path, monkeypatch
):
    whole = Service()
    monkeypatch.setattr(wandb, "init", whole.init)
    train(tiny_data_dir, tmp_path / "whole")
    (expected,) = whole.runs.values()
    steps = [row["trainer/global_step"] for row in expected if "train/loss" in row]
    assert steps == list(range(10))
    assert len(expected) == 12  # and two validations
    assert whole.finished == 1

    parts = Service(rows_until_killed=3)
    monkeypatch.setattr(wandb, "init", parts.init)
    for _ in range(20):
        try:
            train(tiny_data_dir, tmp_path / "parts", resume_from_checkpoint="last")
        except KilledError:
            continue
        break
    assert parts.started >= 4
    assert list(parts.runs.values()) == [expected]  # one run, the rows in their order


def test_a_fresh_run_is_a_run_of_its_own(tiny_data_dir, tmp_path, monkeypatch):
    service = Service()
    monkeypatch.setattr(wandb, "init", service.init)
    for name in ("one", "other"):
        train(tiny_data_dir, tmp_path / name, max_steps=2)
    assert len(service.runs) == 2


@pytest.mark.slow
def test_offline_both_parts_carry_the_same_id(tiny_data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(tiny_data_dir, tmp_path / "run", num_epochs=1)
    assert wandb.run is None
    train(tiny_data_dir, tmp_path / "run", resume_from_checkpoint="last")
    run_id, rows = sent_rows(tmp_path / "run" / WANDB_FILE)
    # parts of one second get folders that differ by a counter, so the id is read off the file
    parts = list((tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(parts) == 2
    assert {part.name for part in parts} == {f"run-{run_id}.wandb"}
    assert {step for step, names in rows if "train/loss" in names} == set(range(10))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('{"id": "abc"}\n[1, ["a"]]\n', {(1, ("a",))}),
        ('{"id": "abc"}\n[1, ["a"]]\n[2, ["a', {(1, ("a",))}),
        ('{"id": "abc"}\n[null, []]\n', {(None, ())}),
    ],
)
def test_an_unfinished_line_is_dropped(tmp_path, text, rows, monkeypatch):
    path = tmp_path / WANDB_FILE
    path.write_text(text)
    run_id, sent = sent_rows(path)
    assert (run_id, set(sent)) == ("abc", rows)
    service = Service()
    monkeypatch.setattr(wandb, "init", service.init)
    log = WandbLog(tmp_path, project="p", is_resumed=True)
    assert path.read_text() == text  # a run that is refused later touches nothing
    log.log_metrics({"b": 1.0}, 3)
    log.log_metrics({"b": 1.0}, 3)
    log.log_metrics({"b": 1.0}, 4)
    whole = text[: text.rfind("\n") + 1]
    assert path.read_text() == whole + '[3, ["b"]]\n[4, ["b"]]\n'
    assert [row["trainer/global_step"] for row in service.runs["abc"]] == [3, 4]


@pytest.mark.parametrize(
    "text", ["", "[]\n", '{"id"\n', '{"id": "abc"}\n7\n', '{"id": "a"}\n[[], 1]\n']
)
def test_a_damaged_file_makes_a_new_run_and_says_so(tmp_path, text, caplog):
    (tmp_path / WANDB_FILE).write_text(text)
    assert sent_rows(tmp_path / WANDB_FILE) == (None, {})
    assert "continues as a new W&B run" in caplog.text
    assert WandbLog(tmp_path, project="p", is_resumed=True).version


def test_without_wandb_it_says_what_to_install(tiny_data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(lightnings, "_WANDB_AVAILABLE", False)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'bionemo-geneformer-t\[wandb\]'"):
        train(tiny_data_dir, tmp_path / "run")
