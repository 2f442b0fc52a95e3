import json
import shutil

import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.evaluation import BASELINES, MODEL, RANDOM_WEIGHTS, SHUFFLED
from bionemo.geneformer_t.evaluate.headline import NO_INFORMATION
from bionemo.geneformer_t.inference.checkpoint import load_model, summarise_checkpoint
from bionemo.geneformer_t.report.evaluation_files import score_values
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.doctor import checkpoint_text
from bionemo.geneformer_t.run.evaluate import evaluate
from bionemo.geneformer_t.run.report import report
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer


@pytest.mark.slow
def test_the_table_and_the_words_are_printed_and_written(
    untrained_checkpoint, tiny_data_dir, tmp_path, capsys
) -> None:
    (untrained_checkpoint.parents[1] / "metrics.csv").write_text(
        "step,epoch,train/loss,val/loss\n0,0,3.0,\n1,0,,2.9\n"
    )
    evaluation = evaluate(
        checkpoint=untrained_checkpoint, data_dir=tiny_data_dir, output_dir=tmp_path / "out"
    )
    printed = capsys.readouterr().out
    assert "cross-entropy" in printed
    assert "The model is no better than gene frequencies at each rank, it is worse" in printed
    assert "The model's answer is" not in printed  # it carries no memory
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert list(written["rows"]) == [MODEL, *BASELINES]
    model = written["rows"][MODEL]["all"]["cross_entropy"]
    assert model == pytest.approx(evaluation.rows[MODEL].all.cross_entropy)
    assert written["num_pairs"] == 29
    found = evaluation.retrieval
    assert "Successor retrieval" in printed
    assert found.num_contexts == evaluation.num_cells
    assert next(iter(found.rows)) == MODEL
    mrr = written["retrieval"]["rows"][MODEL]["reciprocal rank"]["mean"]
    assert mrr == pytest.approx(np.average(
        found.rows[MODEL].measures["reciprocal rank"], weights=evaluation.units.levels[0].weights
    ))  # fmt: skip
    assert written["retrieval"]["sentences"][0] in printed
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"evaluation.json", "evaluation.txt", "next_cells.png", "loss_curve.png"}


def test_nothing_is_written_unless_asked(untrained_checkpoint, tiny_data_dir, tmp_path) -> None:
    before = set(tmp_path.iterdir())
    evaluate(checkpoint=untrained_checkpoint, data_dir=tiny_data_dir, split="val")
    assert set(tmp_path.iterdir()) == before


def test_some_cells_can_stand_for_all(untrained_checkpoint, tiny_data_dir) -> None:
    evaluation = evaluate(checkpoint=untrained_checkpoint, data_dir=tiny_data_dir, max_cells=5)
    assert evaluation.num_cells == 5
    again = evaluate(checkpoint=untrained_checkpoint, data_dir=tiny_data_dir, max_cells=5)
    assert score_values(evaluation) == score_values(again)
    seed = evaluate(checkpoint=untrained_checkpoint, data_dir=tiny_data_dir, max_cells=5, seed=7)
    assert seed.advantages == evaluation.advantages


def test_a_missing_split_is_named(untrained_checkpoint, tiny_data_dir, capsys) -> None:
    shutil.rmtree(tiny_data_dir / "test")
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--checkpoint", str(untrained_checkpoint), "--data-dir",
              str(tiny_data_dir)])  # fmt: skip
    assert end.value.code == 2
    assert "expected a folder 'test'" in capsys.readouterr().err


@pytest.mark.slow
def test_controls_stand_beside_the_model(untrained_checkpoint, tiny_data_dir, tmp_path, capsys):
    shuffled = train_temporal_geneformer(
        data_dir=tiny_data_dir, output_dir=tmp_path / "shuffled", shuffle_successors=True,
        seq_length=64, hidden_size=16, num_layers=1, num_attention_heads=2, intermediate_size=32,
        num_epochs=1, num_workers=0, accelerator="cpu", final_evaluation=False,
    )  # fmt: skip
    evaluation = evaluate(
        checkpoint=untrained_checkpoint, data_dir=tiny_data_dir, controls=True,
        shuffled_checkpoint=shuffled,
    )  # fmt: skip
    assert list(evaluation.rows) == [MODEL, SHUFFLED, RANDOM_WEIGHTS, *BASELINES]
    assert NO_INFORMATION in capsys.readouterr().out

    itself = evaluate(checkpoint=shuffled, data_dir=tiny_data_dir)
    assert "trained on shuffled successors: a control" in capsys.readouterr().out
    assert itself.num_pairs == evaluation.num_pairs == 29  # the true ones
    assert load_model(shuffled).provenance.shuffled
    assert "shuffled: this model is a control" in checkpoint_text(summarise_checkpoint(shuffled))


def test_scores_of_training_cells_are_marked_as_in_sample_wherever_they_are_shown(
    tiny_data_dir, tmp_path, capsys
) -> None:
    checkpoint = train_temporal_geneformer(
        data_dir=tiny_data_dir, output_dir=tmp_path / "run", seq_length=64, hidden_size=16,
        num_layers=1, num_attention_heads=2, intermediate_size=16, num_epochs=1, num_workers=0,
        accelerator="cpu", final_evaluation=False,
    )  # fmt: skip
    capsys.readouterr()
    given = {"checkpoint": checkpoint, "data_dir": tiny_data_dir, "max_cells": 12}
    report(**given, split="train", output_dir=tmp_path / "own", num_genes=1)
    words = (
        "In-sample: the model was trained on these cells, and the baselines were fitted on these "
        "cells. The scores say nothing of other cells."
    )
    printed = capsys.readouterr().out
    assert words in printed
    assert "/train (in-sample)" in printed
    written = json.loads((tmp_path / "own" / "evaluation.json").read_text())
    assert written["in_sample"] is True
    assert words in written["notes"]
    page = (tmp_path / "own" / "report.html").read_text()
    assert f'<p class="verdict">{words}' in page
    assert "/train (in-sample)</p>" in page

    evaluate(**given, output_dir=tmp_path / "other")
    assert "n-sample" not in capsys.readouterr().out
    assert json.loads((tmp_path / "other" / "evaluation.json").read_text())["in_sample"] is False

    shutil.rmtree(tiny_data_dir / "test")  # the same cells under another name
    shutil.copytree(tiny_data_dir / "train", tiny_data_dir / "test")
    evaluate(**given)
    assert "In-sample: the model was trained on these cells. The" in capsys.readouterr().out


def test_of_other_training_cells_only_the_baselines_are_in_sample(
    untrained_checkpoint, tiny_data_dir, capsys
) -> None:
    evaluate(checkpoint=untrained_checkpoint, data_dir=tiny_data_dir, split="train", max_cells=9)
    assert (
        "In-sample: the baselines were fitted on these cells; whether the model was trained on "
        "them is not recorded."
    ) in capsys.readouterr().out
