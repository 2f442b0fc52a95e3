"""Runs that train a part of the weights only, and what their checkpoints are good for."""

import shutil
import sys

import pytest
import torch
from foreign import write_foreign

from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.model.weights.lora import has_adapters
from bionemo.geneformer_t.run.evaluate import evaluate
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

GENES = [f"ENSG{i:011d}" for i in range(30)]
SETTINGS = {
    "seq_length": 32,
    "num_epochs": 2,
    "final_evaluation": False,
    "micro_batch_size": 8,
    "num_workers": 0,
    "accelerator": "cpu",
    "log_every_n_steps": 1,
    "learning_rate": 1e-2,
    "weight_decay": 0.0,
    "dropout_prob": 0.0,
}


def train(data_dir, output_dir, **settings):
    return train_temporal_geneformer(
        data_dir=data_dir, output_dir=output_dir, **{**SETTINGS, **settings}
    )


def weights_in(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.fixture
def pretrained(tmp_path) -> str:
    write_foreign(tmp_path / "weights", ["<pad>", "<mask>", *GENES], max_position_embeddings=40)
    return str(tmp_path / "weights")


@pytest.fixture
def planted(pretrained, tiny_data_dir, tmp_path):
    """The weights that a run starts with."""
    train(
        tiny_data_dir, tmp_path / "start", pretrained=pretrained, learning_rate=1e-12, max_steps=1
    )
    return weights_in(tmp_path / "start" / "checkpoints" / "last.ckpt")


def moved(state, planted) -> set[str]:
    return {n for n, t in planted.items() if not torch.allclose(state[n], t, rtol=0, atol=1e-9)}


@pytest.mark.slow
def test_a_run_with_frozen_layers_leaves_them(pretrained, planted, tiny_data_dir, tmp_path, caplog):
    caplog.set_level("INFO")
    train(tiny_data_dir, tmp_path / "run", pretrained=pretrained, freeze_layers=1)
    names = moved(weights_in(tmp_path / "run" / "checkpoints" / "last.ckpt"), planted)
    assert not [name for name in names if ".layer.0." in name]
    assert any(".layer.1." in name for name in names)
    assert any("word_embeddings" in name for name in names)
    assert "weights train" in caplog.text


def test_rates_fall_with_depth(pretrained, tiny_data_dir, tmp_path):
    train(tiny_data_dir, tmp_path / "run", pretrained=pretrained, layer_lr_decay=0.5)
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    peaks = [g["initial_lr"] for g in checkpoint["optimizer_states"][0]["param_groups"]]
    assert sorted(set(peaks)) == [1e-2 * 0.5**depth for depth in (3, 2, 1, 0)]


@pytest.mark.slow
def test_a_lora_run_moves_updates_alone_and_resumes_exactly(
    pretrained, planted, tiny_data_dir, tmp_path
):
    settings = {"pretrained": pretrained, "lora_rank": 2, "save_top_k": -1}
    train(tiny_data_dir, tmp_path / "whole", **settings)
    whole = weights_in(tmp_path / "whole" / "checkpoints" / "last.ckpt")
    assert has_adapters(whole)
    stripped = {name.replace(".base_layer.", "."): tensor for name, tensor in whole.items()}
    assert not moved(stripped, planted)
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    (half,) = (tmp_path / "parts" / "checkpoints").glob("step=0000005*")
    train(tiny_data_dir, tmp_path / "parts", **settings, resume_from_checkpoint=str(half))
    parts = weights_in(tmp_path / "parts" / "checkpoints" / "last.ckpt")
    assert set(parts) == set(whole)
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())


@pytest.mark.slow
def test_a_lora_checkpoint_is_used_like_any_other_without_peft(
    pretrained, planted, tiny_data_dir, tmp_path, monkeypatch
):
    best = train(tiny_data_dir, tmp_path / "run", pretrained=pretrained, lora_rank=2)
    monkeypatch.setitem(sys.modules, "peft", None)
    model = TemporalGeneformerModel.load_from_checkpoint(best, weights_only=True)
    names = moved({f"net.{n}": t for n, t in model.net.state_dict().items()}, planted)
    assert {name.rsplit(".", 2)[1] for name in names} == {"query", "key", "value", "dense"}
    assert all(".encoder.layer." in name for name in names)
    found = evaluate(checkpoint=best, data_dir=tiny_data_dir)
    assert found.num_positions > 0
    again = TemporalGeneformerModel.from_pretrained(best)
    for name, tensor in model.net.state_dict().items():
        assert torch.equal(again.net.state_dict()[name].cpu(), tensor.cpu()), name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora_rank": 2}, "lora_rank is 2, but there are no pretrained weights"),
        ({"freeze_layers": 1}, "freeze_layers is 1, but there are no pretrained weights"),
        ({"freeze_layers": -1}, "freeze_layers must not be negative"),
        ({"layer_lr_decay": 1.5}, r"layer_lr_decay must be in \(0, 1\]; got 1.5"),
    ],
)
def test_what_makes_no_sense_is_refused(tiny_data_dir, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train(tiny_data_dir, tmp_path / "run", **settings)


def test_more_frozen_layers_than_the_weights_have_are_refused(pretrained, tiny_data_dir, tmp_path):
    with pytest.raises(ValueError, match="between 0 and 2, the layers of this model; got 3"):
        train(tiny_data_dir, tmp_path / "run", pretrained=pretrained, freeze_layers=3)
