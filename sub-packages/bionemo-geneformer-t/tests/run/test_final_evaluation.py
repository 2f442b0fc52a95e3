"""The scores at the end of a run: there, bounded, and never in the way."""

import json
import os
import shutil
from collections import Counter

import pytest

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.run.evaluate import evaluate
from bionemo.geneformer_t.run.final_evaluation import LEAST_CELLS, MOST_CELLS, max_cells
from bionemo.geneformer_t.run.report import report
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

SMALL = {
    "seq_length": 64,
    "hidden_size": 16,
    "num_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "num_epochs": 1,
    "num_workers": 0,
    "accelerator": "cpu",
}


@pytest.fixture
def train(tiny_data_dir, tmp_path):
    def run(**settings):
        return train_temporal_geneformer(
            data_dir=tiny_data_dir, output_dir=tmp_path / "run", **{**SMALL, **settings}
        )

    return run


@pytest.mark.slow
def test_a_run_ends_with_the_table_and_the_verdicts(train, tmp_path, capsys) -> None:
    best = train()
    printed = capsys.readouterr().out
    assert "The model is no better than" in printed
    written = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert (written["checkpoint"], written["split"]) == (str(best), "test")
    assert (tmp_path / "run" / "evaluation.txt").read_text() in printed


@pytest.mark.slow
def test_each_split_is_opened_once_in_training_its_scores_and_in_a_report(
    train, tiny_data_dir, tmp_path, monkeypatch
) -> None:
    opened: Counter[str] = Counter()
    really_open = CellStore.open.__func__

    def counted(cls, split_dir, cache_dir=None):
        opened[split_dir.name] += 1
        return really_open(cls, split_dir, cache_dir)

    monkeypatch.setattr(CellStore, "open", classmethod(counted))
    best = train(final_evaluation=False)
    assert opened == {"train": 1, "val": 1, "test": 1}
    shutil.rmtree(tmp_path / "run")
    opened.clear()
    train()
    assert opened == {"train": 1, "val": 1, "test": 1}
    report(checkpoint=best, data_dir=tiny_data_dir, output_dir=tmp_path / "report")
    assert opened == {"train": 2, "val": 1, "test": 2}


@pytest.mark.slow
def test_a_finished_run_is_scored_once_whatever_the_dates_are(train, tmp_path) -> None:
    best, path = train(), tmp_path / "run" / "evaluation.json"
    before = path.stat().st_mtime_ns
    os.utime(best)  # younger than its scores
    train(resume_from_checkpoint="last")
    assert path.stat().st_mtime_ns == before


@pytest.mark.slow
def test_scores_of_other_cells_or_weights_do_not_pass_for_those_of_the_run(
    train, tiny_data_dir, tmp_path, caplog
) -> None:
    best, path = train(), tmp_path / "run" / "evaluation.json"
    mine = json.loads(path.read_text())
    evaluate(checkpoint=best, data_dir=tiny_data_dir, split="val", output_dir=tmp_path / "run")
    train(resume_from_checkpoint="last")
    assert "it scores split 'val', not 'test' and it scores other cells" in caplog.text
    again = json.loads(path.read_text())
    assert (again["split"], again["rows"]) == (mine["split"], mine["rows"])
    path.write_text(json.dumps({**mine, "scored": {**mine["scored"], "model": "0" * 64}}))
    train(resume_from_checkpoint="last")
    assert "it scores another model (fingerprint 000000000000, not" in caplog.text
    assert json.loads(path.read_text())["scored"] == mine["scored"]


@pytest.mark.slow
def test_without_test_cells_those_of_val_are_scored(train, tiny_data_dir, tmp_path) -> None:
    shutil.rmtree(tiny_data_dir / "test")
    train()
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["split"] == "val"


@pytest.mark.parametrize(
    ("settings", "removed", "reason"),
    [
        ({"objective": "mlm"}, (), "objective 'mlm' trains on single cells"),
        ({}, ("test", "val"), "has neither test nor val"),
    ],
)
def test_a_run_that_cannot_be_scored_says_why(
    train, tiny_data_dir, tmp_path, caplog, settings, removed, reason
) -> None:
    for name in removed:
        shutil.rmtree(tiny_data_dir / name)
    assert train(**settings).is_file()
    assert reason in caplog.text
    assert not (tmp_path / "run" / "evaluation.json").exists()


def test_cells_that_cannot_be_scored_do_not_fail_the_run(train, tiny_data_dir, caplog) -> None:
    """Here the only successor of every test cell is one that the file does not name."""
    path = tiny_data_dir / "test" / "neighbors.json"
    graphs = json.loads(path.read_text())
    path.write_text(json.dumps({**graphs, "next_cell_ids": {}}))
    assert train().is_file()
    assert "no scores at the end of this run: no cell of" in caplog.text


def test_it_can_be_left_out(train, tmp_path) -> None:
    train(final_evaluation=False)
    assert not (tmp_path / "run" / "evaluation.json").exists()


def test_large_vocabularies_are_scored_on_fewer_cells() -> None:
    assert max_cells(126, 600) == MOST_CELLS
    assert LEAST_CELLS < max_cells(510, 7_000) < MOST_CELLS
    assert max_cells(1022, 25_426) == LEAST_CELLS
