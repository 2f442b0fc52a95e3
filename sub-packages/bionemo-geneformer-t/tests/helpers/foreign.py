"""Small random Geneformers in the layouts that are published, made by `transformers`."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM

V1 = {"vocab_size": 25_426, "max_position_embeddings": 2_048}
V2 = {"vocab_size": 20_275, "max_position_embeddings": 4_096}


def foreign_model(seed: int = 0, **sizes) -> BertForMaskedLM:
    """A random model; weights are large, so that every path matters to the logits."""
    torch.manual_seed(seed)
    small = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "hidden_act": "relu",
        "initializer_range": 0.2,
        "pad_token_id": 0,
    }
    model = BertForMaskedLM(BertConfig(**{**small, **sizes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # biases start at 0 and LayerNorms at 1, all alike
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def write_foreign(
    folder: Path, tokens: Sequence[str], medians: dict[str, float] | None = None, **sizes
) -> BertForMaskedLM:
    """Write such a model as Geneformer is published, with dictionaries beside it; returns it."""
    model = foreign_model(vocab_size=len(tokens), **sizes)
    model.save_pretrained(folder)
    ids = {token: i for i, token in enumerate(tokens)}
    (folder / "token_dictionary_small.pkl").write_bytes(pickle.dumps(ids))
    if medians is not None:
        (folder / "gene_median_dictionary_small.pkl").write_bytes(pickle.dumps(medians))
    return model
