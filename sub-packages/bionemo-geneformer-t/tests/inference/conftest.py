"""A tiny model with random weights, and its vocabulary."""

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
