"""The LightningModule: what it learns from the data, saves, refuses and predicts."""

import copy
from dataclasses import replace
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch

from bionemo.geneformer_t.batch import pack
from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import CLS, SEP, GeneVocab

SMALL = BioBertConfig(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=64,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


def fit(model: L.LightningModule, data_dir: Path, folder: Path, **trainer) -> L.Trainer:
    batch = trainer.pop("micro_batch_size", 8)
    fitted = L.Trainer(
        default_root_dir=folder,
        enable_checkpointing=False,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 1, **trainer},
    )
    fitted.fit(model, TemporalGeneformerDataModule(data_dir, seq_length=64, micro_batch_size=batch))
    return fitted


@pytest.fixture
def trained(tiny_data_dir, tmp_path) -> tuple[TemporalGeneformerModel, Path]:
    torch.manual_seed(0)
    model = TemporalGeneformerModel(SMALL)
    trainer = fit(model, tiny_data_dir, tmp_path)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    return model.eval(), tmp_path / "model.ckpt"


def test_a_bare_trainer_teaches_the_model_its_vocabulary(trained, tiny_data_dir):
    model, _ = trained
    data = TemporalGeneformerDataModule(tiny_data_dir)
    assert model.vocab.fingerprint == data.vocab.fingerprint
    assert model.pair_settings == PairSettings(seq_length=64)


def test_a_checkpoint_is_loaded_with_nothing_else_and_runs_no_code(trained):
    model, path = trained
    torch.load(path, weights_only=True)  # refuses anything but plain values
    loaded = TemporalGeneformerModel.load_from_checkpoint(path, weights_only=True)
    assert loaded.config == model.config
    assert loaded.vocab.fingerprint == model.vocab.fingerprint
    assert loaded.pair_settings == model.pair_settings
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


@pytest.mark.usefixtures("without_type_checks")
def test_numbers_of_other_libraries_train_and_are_read_again(tiny_data_dir, tmp_path):
    numpys = {"hidden_size": np.int64(16), "num_hidden_layers": torch.tensor(1),
              "hidden_dropout_prob": np.float32(0.5)}  # fmt: skip
    config = BioBertConfig(**{**SMALL.to_dict(), **numpys})
    model = TemporalGeneformerModel(
        config,
        learning_rate=np.float64(1e-3), warmup_steps=np.int32(2), compile=np.bool_(False),
        layer_lr_decay=torch.tensor(0.5), recompute=np.str_("layers"),
    )  # fmt: skip
    data = TemporalGeneformerDataModule(
        np.str_(tiny_data_dir), seq_length=np.int64(64), micro_batch_size=np.int64(8),
        seed=np.uint16(3), mask_prob=np.float32(0.25), cache_dir=tmp_path / "cache",
    )  # fmt: skip
    trainer = L.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = TemporalGeneformerModel.load_from_checkpoint(tmp_path / "model.ckpt")
    assert loaded.config == config
    assert loaded.pair_settings == PairSettings(seq_length=64, seed=3, mask_prob=0.25)
    assert loaded.hparams["warmup_steps"] == 2
    assert loaded.hparams["recompute"] == "layers"
    for values in (loaded.hparams, loaded.hparams["config"], loaded.pair_settings.to_dict()):
        kinds = {type(value) for value in values.values()}
        assert kinds <= {int, float, bool, str, type(None), dict}


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rate": "fast"}, "learning_rate must be a finite number; got 'fast'"),
        ({"learning_rate": np.zeros(2)}, "learning_rate must be a finite number"),
        ({"warmup_steps": 2.5}, "warmup_steps must be a whole number or nothing"),
        ({"compile": 1}, "compile must be true or false; got 1"),
        ({"attention_backend": None}, "attention_backend must be text; got None"),
    ],
)
def test_what_is_no_plain_value_is_refused_by_name(given, message):
    with pytest.raises(TypeError, match=message):
        TemporalGeneformerModel(SMALL, **given)


def test_a_checkpoint_is_written_of_plain_values_or_not_at_all(trained, tmp_path):
    model, _ = trained
    model.hparams["learning_rate"] = np.float64(0.5)  # set behind the back of the constructor
    written = {"hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(written)
    assert type(written["hyper_parameters"]["learning_rate"]) is float
    written["hyper_parameters"]["config"]["mine"] = [np.int64(1), object()]
    with pytest.raises(
        TypeError, match=r"hyper_parameters\.config\.mine\[1\] is <object .* of type"
    ):
        model.on_save_checkpoint(written)


@pytest.mark.parametrize("sizes", [{}, {"rank_knots": 4}, {"position_scheme": "restarted"}])
def test_no_cells_have_no_logits_no_loss_and_no_predictions(tiny_data_dir, sizes):
    model = TemporalGeneformerModel(BioBertConfig(**{**SMALL.to_dict(), **sizes}))
    data = TemporalGeneformerDataModule(tiny_data_dir, seq_length=64)
    model.adopt(data.vocab, data.settings)
    nothing = pack([])
    assert model.logits(nothing).shape == (0, 40)
    assert model.summed_loss(nothing).item() == 0
    assert model.rank_distributions(Ragged.of([]), 5).shape == (0, 5, 40)
    for width in (0, 8):
        ids = torch.zeros(0, width, dtype=torch.long)
        predicted = model.predict_next_cell(ids, ids, 3, return_distribution=True)
        assert predicted.token_ids.shape == predicted.probabilities.shape == (0, 3)
        assert predicted.distribution.shape == (0, 3, 40)
        assert predicted.genes == []


def test_predictions_are_ranked_genes_none_twice(trained):
    model, path = trained
    ids = torch.tensor([[5, 6, 7, 8, 9, 2, 2, 2], [9, 8, 7, 6, 5, 10, 11, 12]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 0, 0, 0], [1] * 8])
    prediction = model.predict_next_cell(
        current_cell_ids=ids, attention_mask=mask, num_predictions=10, return_distribution=True
    )
    assert prediction.token_ids.shape == prediction.probabilities.shape == (2, 10)
    for cell, names in zip(prediction.token_ids.tolist(), prediction.genes, strict=True):
        assert len(set(cell)) == 10
        assert names == model.vocab.decode(cell)
        assert set(cell) <= set(model.vocab.gene_ids.tolist())
    torch.testing.assert_close(prediction.distribution.sum(-1), torch.ones(2, 10))
    picked = prediction.distribution.gather(-1, prediction.token_ids[..., None])[..., 0]
    torch.testing.assert_close(picked, prediction.probabilities)
    again = TemporalGeneformerModel.load_from_checkpoint(path).predict_next_cell(ids, mask)
    assert torch.equal(again.token_ids, prediction.token_ids)
    assert again.distribution is None


def test_framing_and_padding_do_not_change_the_prediction(trained):
    model, _ = trained
    cls, sep = model.vocab.ids[CLS], model.vocab.ids[SEP]
    plain = model.predict_next_cell(torch.tensor([[5, 6, 7]]))
    framed = model.predict_next_cell(torch.tensor([[cls, 5, 6, 7, sep]]))
    padded = model.predict_next_cell(
        torch.tensor([[5, 6, 7, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0]])
    )
    assert torch.equal(plain.probabilities, framed.probabilities)
    assert torch.equal(plain.probabilities, padded.probabilities)


def test_special_tokens_among_the_genes_are_reported(trained, caplog):
    model, _ = trained
    model.predict_next_cell(torch.tensor([[1, 2, 3, 4, 5]]))
    assert "4 special tokens are among the genes" in caplog.text


@pytest.mark.parametrize(
    ("ids", "mask", "ranks", "message"),
    [
        ([[5, 6]], [[1, 0, 0]], 10, r"the shape of current_cell_ids, \(1, 2\); got \(1, 3\)"),
        ([[5, 6]], [[0, 1]], 10, "padding on the right"),
        ([[5, 6]], [[1, 2]], 10, "padding on the right"),
        ([[5, 6], [5, 6]], [[1, 1], [0, 0]], 10, "current cell 1 holds no gene"),
        ([[0, 3]], None, 10, "current cell 0 holds no gene"),
        ([[5, 33]], None, 10, "ids from 5 to 33; this model's vocabulary has ids 0 to 32"),
        ([[5, -6]], None, 10, "ids from -6 to 5"),
        ([[5, 6]], None, 0, "between 1 and 28 .*; got 0"),
        ([[5, 6]], None, 29, "between 1 and 28 .*; got 29"),
        ([[5] * 63], None, 1, "a current cell has 65 tokens"),
    ],
)
@pytest.mark.slow
def test_input_that_is_no_cell_is_refused(trained, ids, mask, ranks, message):
    model, _ = trained
    mask = None if mask is None else torch.tensor(mask)
    with pytest.raises(ValueError, match=message):
        model.predict_next_cell(torch.tensor(ids), mask, ranks)


def test_a_model_without_a_vocabulary_cannot_predict():
    with pytest.raises(ValueError, match="has no vocabulary yet"):
        TemporalGeneformerModel(SMALL).predict_next_cell(torch.tensor([[5]]))


def test_a_vocabulary_larger_than_the_model_is_refused_with_both_numbers(tiny_data_dir, tmp_path):
    model = TemporalGeneformerModel(replace(SMALL, vocab_size=32))
    with pytest.raises(ValueError, match=r"has 33 tokens, the model's vocab_size is 32"):
        fit(model, tiny_data_dir, tmp_path)


def test_a_seq_length_beyond_the_position_table_is_refused(tiny_data_dir, tmp_path):
    model = TemporalGeneformerModel(replace(SMALL, max_position_embeddings=63))
    with pytest.raises(ValueError, match=r"seq_length is 64.*max_position_embeddings is 63"):
        fit(model, tiny_data_dir, tmp_path)


def test_data_with_another_vocabulary_are_refused(trained):
    model, _ = trained
    other = GeneVocab.of_genes(dict.fromkeys(model.vocab.genes, 1.0))
    with pytest.raises(ValueError, match="token ids would mean other genes"):
        model.adopt(other, PairSettings(seq_length=64))


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.ckpt"
    content = {"state_dict": {}, "pytorch-lightning_version": "2.6.0"}
    torch.save({**content, "hyper_parameters": {"config": SMALL.to_dict()}}, path)
    with pytest.raises(ValueError, match="holds no Geneformer-T model"):
        TemporalGeneformerModel.load_from_checkpoint(path)


def gradient_step(tiny_data_dir: Path, folder: Path, **trainer) -> dict[str, torch.Tensor]:
    """The weights after one epoch of plain gradient descent, which shows any scaling."""

    class Descent(TemporalGeneformerModel):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.5)

    torch.manual_seed(0)
    model = Descent(SMALL)
    fit(model, tiny_data_dir, folder, **trainer)
    return model.state_dict()


@pytest.mark.parametrize("micro_batch_size", [1, 2, 5])
@pytest.mark.slow
def test_accumulated_micro_batches_step_like_the_whole_batch(
    tiny_data_dir, tmp_path, micro_batch_size
):
    """Cells differ in length and the last step is short, so means of means would differ."""
    whole = gradient_step(tiny_data_dir, tmp_path, micro_batch_size=10)
    parts = gradient_step(
        tiny_data_dir,
        tmp_path,
        micro_batch_size=micro_batch_size,
        accumulate_grad_batches=10 // micro_batch_size,
    )
    for name, value in whole.items():
        # float32 sums in another order
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_the_loss_counts_scored_positions_only(tiny_data_dir):
    model = TemporalGeneformerModel(SMALL).eval()
    data = TemporalGeneformerDataModule(tiny_data_dir, seq_length=64, micro_batch_size=4)
    batch = next(iter(data.train_dataloader()))
    summed = model.summed_loss(batch)
    by_hand = -model.logits(batch).log_softmax(-1)[range(batch.num_scored), batch.scored_labels]
    torch.testing.assert_close(summed, by_hand.sum())
    assert len(by_hand) == batch.num_scored == int(batch.scored_offsets[-1])


def test_a_step_has_the_mean_cross_entropy_and_the_mean_term_of_its_micro_batches(
    tiny_data_dir, tmp_path
):
    torch.manual_seed(0)
    pairs = PairSettings(seq_length=64, contrastive_weight=0.7)
    data = TemporalGeneformerDataModule(tiny_data_dir, pairs, micro_batch_size=3)
    model, seen = TemporalGeneformerModel(SMALL), []

    class Gradients(L.Callback):
        def on_train_batch_start(self, trainer, model, batch, batch_idx):
            seen.append(batch)

        def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
            if len(seen) == 2:
                self.found = {n: p.grad.clone() for n, p in model.net.named_parameters()}

    gradients = Gradients()
    expected = copy.deepcopy(model)
    trainer = L.Trainer(
        default_root_dir=tmp_path, max_steps=1, accumulate_grad_batches=2, val_check_interval=2,
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False, callbacks=[gradients],
    )  # fmt: skip
    trainer.fit(model, data)

    expected.adopt(data.vocab, data.settings)
    losses = [expected._losses(batch) for batch in seen]
    scored = [batch.num_scored for batch in seen]
    assert len(set(scored)) == 2  # or any weights would do
    cross_entropy = sum(summed for summed, _ in losses) / sum(scored)
    term = sum(n * mean for n, (_, mean) in zip(scored, losses, strict=True)) / sum(scored)
    (cross_entropy + 0.7 * term).backward()
    for name, parameter in expected.net.named_parameters():
        torch.testing.assert_close(gradients.found[name], parameter.grad, msg=name)
    logged = trainer.callback_metrics
    assert float(logged["train/loss"]) == pytest.approx(cross_entropy.item())
    assert float(logged["train/contrastive"]) == pytest.approx(term.item())
    assert float(logged["val/contrastive"]) > 0


def test_without_a_weight_no_term_is_computed(tiny_data_dir, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("there is no contrastive term")

    monkeypatch.setattr(TemporalGeneformerModel, "_losses", refuse)
    trainer = fit(TemporalGeneformerModel(SMALL), tiny_data_dir, tmp_path)
    assert not [name for name in trainer.callback_metrics if "contrastive" in name]
