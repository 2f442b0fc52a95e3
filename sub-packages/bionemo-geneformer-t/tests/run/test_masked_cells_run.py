"""Plain pretraining with `--objective mlm`, what comes of it, and what it cannot do."""

import csv

import pytest
import torch

from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.doctor import doctor
from bionemo.geneformer_t.run.evaluate import evaluate
from bionemo.geneformer_t.run.predict import predict
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer
from bionemo.geneformer_t.vocab import CLS, SEP

SETTINGS = {
    "seq_length": 32,
    "hidden_size": 16,
    "num_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "micro_batch_size": 8,
    "num_workers": 0,
    "accelerator": "cpu",
    "log_every_n_steps": 1,
    "dropout_prob": 0.0,
    "final_evaluation": False,
}


def train(data_dir, output_dir, **settings):
    return train_temporal_geneformer(
        data_dir=data_dir, output_dir=output_dir, **{**SETTINGS, "num_epochs": 1, **settings}
    )


def val_losses(output_dir):
    with (output_dir / "metrics.csv").open(newline="") as file:
        return [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]


@pytest.fixture
def without_graph(tiny_data_dir):
    for split in ("train", "val", "test"):
        (tiny_data_dir / split / "neighbors.json").unlink()
    return tiny_data_dir


def test_every_cell_is_its_own_next_cell_and_no_neighbors_are_read(without_graph):
    data = TemporalGeneformerDataModule(without_graph, objective="mlm", seq_length=20)
    assert len(data.train) == 40
    ids = data.vocab.ids
    for i in range(len(data.train)):
        example = data.train[i]
        (scored,) = example.next_cells
        assert scored.cell == example.cell
        assert (example.context_ids[0], example.context_ids[-1]) == (ids[CLS], ids[SEP])
        assert len(example.context_ids) <= 20
        assert (example.context_ids[scored.ranks] == scored.labels).all()
        assert len(scored.labels) == max(1, round(0.15 * (len(example.context_ids) - 2)))
    assert max(len(data.train[i].context_ids) for i in range(40)) == 20  # one cell has all the room


@pytest.mark.slow
def test_pretraining_learns_and_its_checkpoint_starts_a_temporal_run(without_graph, tmp_path):
    settings = {"num_epochs": 20, "learning_rate": 5e-3}
    best = train(without_graph, tmp_path / "plain", objective="mlm", **settings)
    curve = val_losses(tmp_path / "plain")
    assert curve[-1] < curve[0] - 0.1
    model = TemporalGeneformerModel.load_from_checkpoint(best)
    assert model.pair_settings.objective == model.provenance.objective == "mlm"


@pytest.mark.slow
def test_a_temporal_run_starts_from_it_with_a_token_type_of_its_own(tiny_data_dir, tmp_path):
    plain = train(tiny_data_dir, tmp_path / "plain", objective="mlm")
    best = train(tiny_data_dir, tmp_path / "pairs", pretrained=str(plain), learning_rate=1e-12)
    before, after = (TemporalGeneformerModel.load_from_checkpoint(p) for p in (plain, best))
    assert after.start.initialised == ("token type 1",)
    types = after.net.bert.embeddings.token_type_embeddings.weight
    assert torch.allclose(types[0], types[1], rtol=0, atol=1e-9)
    for name, tensor in before.net.state_dict().items():
        if "token_type" not in name:
            torch.testing.assert_close(after.net.state_dict()[name], tensor, rtol=0, atol=1e-9)
    assert after.pair_settings.objective == "next_cell"


def test_next_cells_are_not_predicted_from_it(tiny_data_dir, tmp_path):
    plain = train(tiny_data_dir, tmp_path / "plain", objective="mlm")
    with pytest.raises(ValueError, match=r"objective 'mlm' .* --pretrained CHECKPOINT"):
        evaluate(checkpoint=plain, data_dir=tiny_data_dir)
    with pytest.raises(ValueError, match="has learned nothing about next cells"):
        predict(
            checkpoint=plain, input=tiny_data_dir / "test" / "data.h5ad",
            output=tmp_path / "next.csv",
        )  # fmt: skip
    model = TemporalGeneformerModel.load_from_checkpoint(plain)
    with pytest.raises(ValueError, match="has learned nothing about next cells"):
        model.predict_next_cell(torch.tensor([[5, 6, 7]]))


def test_the_doctor_finds_it_in_order(without_graph, tmp_path, capsys):
    plain = train(without_graph, tmp_path / "plain", objective="mlm")
    assert doctor(first=plain, other=without_graph).is_sound
    said = capsys.readouterr().out
    assert "mlm" in said
    assert "follows no graph" in said
