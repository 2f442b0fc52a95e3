"""Models that a trained one must beat: one that learned nothing, one that learned from chance."""

from pathlib import Path

import torch

from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.model.next_cell_model import NextCellModel, settings_of


def random_weights(model: NextCellModel, seed: int) -> NextCellModel:
    """A model like the given one, before any training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = NextCellModel(model.config)
    fresh.adopt(model.required_vocab(), settings_of(model))
    fresh.precision = model.precision
    return fresh.to(model.device).eval()


def load_shuffled(checkpoint: Path, model: NextCellModel) -> NextCellModel:
    """A model that was trained on shuffled successors, as a control for `model`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It was trained on true successors or on other cells, or reads other genes or
            lengths than `model`.
    """
    control = load_model(checkpoint, model.precision)
    mine, theirs = settings_of(model), settings_of(control)
    if not theirs.shuffle_successors:
        raise ValueError(
            f"shuffled_checkpoint: {checkpoint} was trained on true successors; train it with "
            "shuffle_successors=true and all other settings as for the model"
        )
    if control.required_vocab().fingerprint != model.required_vocab().fingerprint:
        raise ValueError(
            f"shuffled_checkpoint: {checkpoint} has another vocabulary than the model; train both "
            "on the same data folder"
        )
    trained = [one.provenance.data_fingerprint for one in (control, model) if one.provenance]
    if len(set(trained)) > 1:
        raise ValueError(
            f"shuffled_checkpoint: {checkpoint} was trained on other cells than the model; train "
            "both on the same data folder"
        )
    if (control.memory is None) != (model.memory is None):
        raise ValueError(
            f"shuffled_checkpoint: {checkpoint} and the model must both have a memory of training "
            "cells, or both none; train both with the same settings"
        )
    if theirs.seq_length != mine.seq_length:
        raise ValueError(
            f"shuffled_checkpoint: {checkpoint} was trained with seq_length {theirs.seq_length}, "
            f"the model with {mine.seq_length}; train both with the same settings"
        )
    return control
