"""A run stops at the first number that is not finite, names the cells, and keeps its weights."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from textbook import packed, random_pair

from bionemo.geneformer_t.batch import pack
from bionemo.geneformer_t.config import BioBertConfig
from bionemo.geneformer_t.data.batching import BySize
from bionemo.geneformer_t.data.loader import CellBatchSampler
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.model.attention.choose import ATTENTION_BACKENDS
from bionemo.geneformer_t.model.step.finite import NotFiniteError, StepBatches, gradient_norm
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.run.train_temporal import train_temporal_geneformer

SMALL = {
    "seq_length": 64,
    "hidden_size": 16,
    "num_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "micro_batch_size": 4,
    "global_batch_size": 8,
    "num_epochs": 1,
    "final_evaluation": False,
    "num_workers": 0,
    "accelerator": "cpu",
    "checkpoint_every_n_steps": 1,
}


@pytest.fixture
def poisoned(monkeypatch):
    """A function that makes the loss of every batch with a cell take on a value."""

    def poison(cell: int, value: float) -> None:
        original = TemporalGeneformerModel.summed_loss

        def summed_loss(self, batch):
            loss = original(self, batch)
            return loss * value if cell in batch.cells.tolist() else loss

        monkeypatch.setattr(TemporalGeneformerModel, "summed_loss", summed_loss)

    return poison


def batches_of_the_first_epoch(data_dir):
    data = TemporalGeneformerDataModule(data_dir, seq_length=64, micro_batch_size=4)
    costs = data.train.most_tokens()
    batching = BySize(costs=costs, size=4, ranks=1, accumulated=2)  # as SMALL asks
    sampler = CellBatchSampler(data.train, batching, seed=data.settings.seed)
    return [[int(data.train.cells[i]) for _, i in batch] for batch in sampler]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_its_micro_batch(tiny_data_dir, tmp_path, poisoned, value):
    batches = batches_of_the_first_epoch(tiny_data_dir)
    bad = batches[5]  # the second micro-batch of the third optimizer step
    poisoned(bad[0], value)
    with pytest.raises(NotFiniteError) as stopped:
        train_temporal_geneformer(data_dir=tiny_data_dir, output_dir=tmp_path / "run", **SMALL)
    message = str(stopped.value)
    assert f"the loss is {value} before optimizer step 3" in message
    assert ", ".join(f"train_{cell}" for cell in bad) in message
    assert f"train_{batches[4][0]}," not in message
    assert "Lower learning_rate" in message
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2
    assert all(value.isfinite().all() for value in last["state_dict"].values())


def test_a_gradient_that_is_not_finite_names_the_step(tiny_data_dir, tmp_path, monkeypatch):
    original = TemporalGeneformerModel.on_before_optimizer_step

    def overflow(self, optimizer):
        original(self, optimizer)
        self.net.bert.embeddings.LayerNorm.weight.grad[0] = float("inf")

    monkeypatch.setattr(TemporalGeneformerModel, "on_before_optimizer_step", overflow)
    batches = batches_of_the_first_epoch(tiny_data_dir)
    with pytest.raises(NotFiniteError, match="gradient's norm is inf before optimizer step 1") as e:
        train_temporal_geneformer(data_dir=tiny_data_dir, output_dir=tmp_path / "run", **SMALL)
    assert ", ".join(f"train_{cell}" for cell in batches[0] + batches[1]) in str(e.value)
    assert "lower gradient_clip_val, and look for extreme counts" in str(e.value)


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.slow
def test_clipping_is_that_of_torch(tiny_data_dir, tmp_path, monkeypatch, clip):
    seen = []
    original = TemporalGeneformerModel.configure_gradient_clipping

    def watched(self, optimizer, gradient_clip_val, gradient_clip_algorithm):
        copies = [p.detach().clone() for p in self.parameters()]
        for copy, p in zip(copies, self.parameters(), strict=True):
            copy.grad = p.grad.clone()
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(copies, gradient_clip_val)
        original(self, optimizer, gradient_clip_val, gradient_clip_algorithm)
        seen.append(
            all(torch.equal(c.grad, p.grad) for c, p in zip(copies, self.parameters(), strict=True))
        )

    monkeypatch.setattr(TemporalGeneformerModel, "configure_gradient_clipping", watched)
    train_temporal_geneformer(
        data_dir=tiny_data_dir, output_dir=tmp_path / "run", **SMALL, gradient_clip_val=clip
    )
    assert seen == [True] * 5


@pytest.mark.parametrize(("scale", "is_refused"), [(65536.0, False), (2.0**-9, True)])
def test_a_loss_scaler_may_skip_steps_until_no_scale_helps(scale, is_refused):
    plugin = SimpleNamespace(scaler=SimpleNamespace(get_scale=lambda: scale))
    trainer = SimpleNamespace(
        precision_plugin=plugin, global_step=0, gradient_clip_val=None, precision="16-mixed"
    )
    if is_refused:
        advice = "in another process.* set gradient_clip_val, .*bf16-mixed in place of 16-mixed"
        with pytest.raises(NotFiniteError, match=advice):
            StepBatches().check_norm(torch.tensor(float("inf")), trainer)
    else:
        StepBatches().check_norm(torch.tensor(float("inf")), trainer)


RAGGED = {
    "an empty next cell": [(5, 0, 0)],
    "a context of one gene": [(1, 1, 1)],
    "nothing scored": [(5, 4, 0), (3, 3, 0)],
    "nothing at all": [],
    "all of these": [(5, 0, 0), (1, 1, 1), (7, 6, 0), (1, 0, 0), (60, 60, 60)],
}
"""Genes of the current cell, of the next cell, and how many of these are scored."""


@pytest.mark.parametrize("dropout", [0.0, 0.9])
@pytest.mark.parametrize("backend", ["auto", *ATTENTION_BACKENDS])
@pytest.mark.parametrize("name", RAGGED)
def test_no_ragged_batch_gives_a_number_that_is_not_finite(name, backend, dropout):
    config = BioBertConfig(
        vocab_size=120, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=128, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    generator = np.random.default_rng(0)
    pairs = [random_pair(generator, *size, 120) for size in RAGGED[name]]
    batch = packed(pairs) if pairs else pack([])
    model = TemporalGeneformerModel(config, attention_backend=backend)
    model.summed_loss(batch).backward()
    assert torch.isfinite(gradient_norm(model.parameters()))
