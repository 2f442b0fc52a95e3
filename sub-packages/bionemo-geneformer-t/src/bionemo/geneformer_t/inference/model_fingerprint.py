"""A fingerprint of a model: two with the same one give the same answers to the same cells."""

import hashlib
import json
from dataclasses import asdict

import numpy as np
import torch

from bionemo.geneformer_t.model.isolation import ISOLATION_RULE_VERSION
from bionemo.geneformer_t.model.knn_memory import HIDDEN
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, settings_of


def model_fingerprint(model: NextCellModel) -> str:
    """SHA-256 over weights, sizes, vocabulary, medians, axes, memory, and how cells are encoded."""
    settings = settings_of(model)
    meaning = {
        "config": model.config.to_dict(),
        "vocab": model.vocab.fingerprint if model.vocab else None,
        "seq_length": settings.seq_length,
        "normalize_gene_expression": settings.normalize_gene_expression,
        "target_sum": settings.target_sum,
        "isolation_rule": ISOLATION_RULE_VERSION,
    }
    digest = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode())
    for name, tensor in sorted(model.net.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().tobytes())
    arrays: dict[str, np.ndarray] = {}
    if model.axes is not None:
        axes = vars(model.axes)
        arrays |= {f"axes.{name}": np.asarray(value) for name, value in axes.items()}
    if model.memory is not None:
        memory = model.memory
        mixing = asdict(memory.mixing)
        if memory.mixing.space == HIDDEN:
            del mixing["space"]  # checkpoints without it are the same models
        digest.update(json.dumps(mixing, sort_keys=True).encode())
        arrays |= {f"memory.{name}": array for name, array in vars(memory.index).items()}
        arrays["memory.gene_ids"] = memory.gene_ids
    for name, array in arrays.items():
        digest.update(f"{name} {array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
