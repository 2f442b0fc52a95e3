"""After training: give the best checkpoint settings of transitions, fitted on validation cells."""

import logging
from pathlib import Path

import numpy as np

from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.fates.fit_transitions import fit_from_splits
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.model.transition_fit import TransitionFit
from bionemo.geneformer_t.training.checkpoint_files import add_entry

logger = logging.getLogger(__name__)


def add_transitions(
    checkpoint: Path,
    training: TemporalGeneformerDataset,
    validation: TemporalGeneformerDataset | None,
    seed: int,
    *,
    again: bool = False,
) -> TransitionFit | None:
    """Fit transitions and write them into the checkpoint, which is replaced whole or not at all.

    A checkpoint that has them, as when a finished run is resumed, is left as it is. One without
    validation cells that have successors is too: its transitions are made with default settings.

    Args:
        checkpoint: Of a trained model, with its kNN memory if it gets one.
        training: The cells that it was trained on, of which some become references.
        validation: Cells that it was not trained on.
        seed: Draws cells where there are many.
        again: Replace what was fitted before.
    """
    if validation is None or not validation.graph.num_edges:
        return None
    model = load_model(checkpoint)
    if model.transitions is not None and not again:
        return model.transitions
    fit = fit_from_splits(model, training, validation, np.random.default_rng(seed))
    if fit is not None:
        logger.info("transitions: %s", fit)
        add_entry(checkpoint, "transitions", fit.to_dict())
    return fit
