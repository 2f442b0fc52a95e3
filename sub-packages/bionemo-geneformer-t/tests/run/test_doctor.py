"""The doctor prints what it is given, and ends with 1 where something does not fit."""

import json

import pytest

from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.doctor import doctor
from bionemo.geneformer_t.run.prepare import prepare
from bionemo.geneformer_t.run.simulate import simulate
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer


@pytest.fixture
def trained_checkpoint(tiny_data_dir, tmp_path):
    return train_temporal_geneformer(
        data_dir=tiny_data_dir, output_dir=tmp_path / "trained", seq_length=64, hidden_size=16,
        num_layers=1, num_attention_heads=2, intermediate_size=16, max_steps=2, num_workers=0,
        accelerator="cpu", seed=5, final_evaluation=False,
    )  # fmt: skip


def test_a_trained_checkpoint_tells_what_it_was_trained_on(trained_checkpoint, capsys):
    found = doctor(first=trained_checkpoint)
    text = capsys.readouterr().out
    assert found.is_sound
    assert found.checkpoint.provenance.num_edges == 77
    assert found.checkpoint.transitions.num_contexts > 0
    for line in (
        "1 layers of 2 heads",
        "64, continued in the next cell",
        "33 tokens, 28 genes",
        "tiny_data: 40 cells, 39 of them current cells, 77 edges under 'next_cell_ids'",
        "next_cell, seed 5",
        "no pretrained weights",
    ):
        assert line in text
    assert f"transitions {found.checkpoint.transitions}" in " ".join(text.split())


def test_a_folder_made_by_hand_is_described(tiny_data_dir, capsys):
    assert doctor(first=tiny_data_dir).exit_code == 0
    text = capsys.readouterr().out
    assert "made          by hand" in text
    assert "temporal_neighbors: 77 edges" in text
    assert "Nothing is wrong with the folder." in text


def test_a_simulated_folder_says_what_made_it(tmp_path, capsys):
    folder = tmp_path / "simulated"
    simulate(output_dir=folder, num_cells=60, num_genes=40)
    capsys.readouterr()
    assert doctor(first=folder).is_sound
    assert "made          by geneformer-t simulate" in capsys.readouterr().out


@pytest.mark.slow
def test_a_prepared_folder_and_its_model_fit(tiny_data_dir, tmp_path, capsys):
    prepare(
        input=tiny_data_dir / "train" / "data.h5ad", output_dir=tmp_path / "mine", time_key="day",
        num_neighbors=2,
    )  # fmt: skip
    checkpoint = train_temporal_geneformer(
        data_dir=tmp_path / "mine", output_dir=tmp_path / "run", seq_length=64, hidden_size=16,
        num_layers=1, num_attention_heads=2, intermediate_size=16, max_steps=1, num_workers=0,
        accelerator="cpu",
    )  # fmt: skip
    found = doctor(first=checkpoint, other=tmp_path / "mine")
    text = capsys.readouterr().out
    assert found.is_sound, text
    assert "by geneformer-t prepare" in text
    assert "train holds the cells and the graph that the model was trained on" in text


def test_both_are_compared_in_either_order(trained_checkpoint, tiny_data_dir, capsys):
    pair = [str(trained_checkpoint), str(tiny_data_dir)]
    for arguments in (pair, pair[::-1]):
        assert main(["doctor", *arguments]) == 0
        assert "The checkpoint and the data fit together." in capsys.readouterr().out


def test_what_does_not_fit_ends_with_one(trained_checkpoint, tiny_data_dir, capsys):
    path = tiny_data_dir / "val" / "neighbors.json"
    path.write_text(json.dumps({"knn_neighbors": {}}))
    assert main(["doctor", str(trained_checkpoint), str(tiny_data_dir)]) == 1
    text = capsys.readouterr().out
    assert "NO    val has no successors under 'next_cell_ids'" in text
    assert "Incompatible: 1 check failed." in text


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["none"], "expected a checkpoint or a data folder at"),
        (["tiny_data", "tiny_data"], "are both data folders"),
        (["a.ckpt", "a.ckpt"], "are both checkpoints"),
        (["a.ckpt"], "is no checkpoint, or a damaged one"),
        (["empty"], "is no data folder"),
    ],
)
def test_what_is_neither_is_told(tiny_data_dir, tmp_path, capsys, names, message):
    (tmp_path / "a.ckpt").write_text("not a checkpoint")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as end:
        main(["doctor", *(str(tmp_path / name) for name in names)])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
