import json
import shutil

import anndata
import numpy as np
import pytest

from bionemo.geneformer_t.evaluate.evaluation import BASELINES
from bionemo.geneformer_t.evaluate.headline import NO_INFORMATION
from bionemo.geneformer_t.evaluate.row_names import MODEL, RANDOM_WEIGHTS, SHUFFLED
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
    heading, verdict, lesson, _ = printed.split("\n", 3)
    assert heading.endswith("data/test") or str(tiny_data_dir) in heading
    assert verdict.startswith("The model does not beat every baseline")
    assert lesson.startswith("What the graph taught is not known")
    assert (tmp_path / "out" / "evaluation.txt").read_text().split("\n", 3)[1] == verdict
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


def test_clones_have_a_row_for_each_search_and_a_verdict(
    untrained_checkpoint, tiny_data_dir, tmp_path, capsys
) -> None:
    for split in ("train", "test"):
        path = tiny_data_dir / split / "data.h5ad"
        cells = anndata.read_h5ad(path)
        number = cells.n_obs
        cells.obs["stage"] = np.arange(number) // 4
        cells.obs["type"] = np.where(np.arange(number) % 2, "odd", "even")
        cells.obs["clone"] = [f"b{row % 2}" for row in range(number)]
        cells.write_h5ad(path)
    given = {"checkpoint": untrained_checkpoint, "data_dir": tiny_data_dir, "time_key": "stage"}
    with pytest.raises(KeyError, match="no table of obsm called 'barcode'"):
        evaluate(**given, clone_key="barcode")
    with pytest.raises(ValueError, match="told by times and clusters; give cluster_key"):
        evaluate(**given, clone_key="clone")
    given["cluster_key"] = "type"
    with pytest.raises(ValueError, match="no cluster 'undiff'; there are: even, odd"):
        evaluate(**given, clone_key="clone", clone_no_fates="undiff")
    evaluation = evaluate(**given, clone_key="clone", output_dir=tmp_path / "out")
    clones = evaluation.retrieval.clones
    assert (clones.num_cells, clones.num_with_fate, clones.num_clones) == (12, 12, 2)
    assert list(clones.rows) == [*(n for n in evaluation.retrieval.rows if "teacher" not in n
                                   and n != "chance"), "the graph itself", "chance"]  # fmt: skip
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["retrieval"]["clones"]["sentence"] in printed
    assert "real cells that the model retrieves" in evaluation.populations.marks
    assert "Clones: probability of later cells of the same clone, for 12 cells" in printed
    half = clones.rows["chance"].intervals["within the clone"].mean
    assert half == pytest.approx(0.5, abs=0.05)  # every other cell is of the same clone


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
