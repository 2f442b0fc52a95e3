"""A tiny model with random weights, and its vocabulary."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch

from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.vocab import GeneVocab


@pytest.fixture
def vocab(tiny_data_dir) -> GeneVocab:
    return GeneVocab.read(
        tiny_data_dir / "train" / "geneformer.vocab", tiny_data_dir / "train" / "medians.json"
    )


@pytest.fixture
def model(vocab) -> TemporalGeneformerModel:
    torch.manual_seed(0)
    model = TemporalGeneformerModel(
        BioBertConfig(
            vocab_size=len(vocab) + 7, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=64, initializer_range=0.5,
        )
    )  # fmt: skip
    model.adopt(vocab, PairSettings(seq_length=33))
    return model.eval()


@pytest.fixture
def save_checkpoint(tmp_path) -> Callable[[TemporalGeneformerModel], Path]:
    """A function that writes a model's checkpoint and returns its path."""

    def save(model: TemporalGeneformerModel) -> Path:
        trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
        trainer.strategy.connect(model)
        trainer.save_checkpoint(tmp_path / "model.ckpt")
        return tmp_path / "model.ckpt"

    return save
