"""A checkpoint of a model with random weights: enough where skill does not matter."""

from pathlib import Path

import lightning as L
import pytest
import torch

from bionemo.geneformer_t.config import BioBertConfig, PairSettings
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.vocab import GeneVocab


@pytest.fixture
def untrained_checkpoint(tiny_data_dir, tmp_path) -> Path:
    folder = tiny_data_dir / "train"
    vocab = GeneVocab.read(folder / "geneformer.vocab", folder / "medians.json")
    torch.manual_seed(0)
    model = TemporalGeneformerModel(
        BioBertConfig(
            vocab_size=len(vocab), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=64,
        )
    )  # fmt: skip
    model.adopt(vocab, PairSettings(seq_length=64))
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(model)
    path = tmp_path / "run" / "checkpoints" / "model.ckpt"
    trainer.save_checkpoint(path)
    return path
