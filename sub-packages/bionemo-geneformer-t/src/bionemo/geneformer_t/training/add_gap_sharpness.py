"""After training: fit how sure the model may be of the time between two cells."""

import logging
from dataclasses import replace
from pathlib import Path

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.gap_pairs import gap_pairs
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.gap_between import fit_sharpness, gap_scores, grid_of, prior_of
from bionemo.geneformer_t.training.checkpoint_files import add_entry

logger = logging.getLogger(__name__)

MAX_PAIRS = 200
LEAST_PAIRS = 20
"""Validation pairs below which the default stays."""


def add_gap_sharpness(
    checkpoint: Path,
    validation: TemporalGeneformerDataset | None,
    settings: PairSettings,
) -> None:
    """Write the factor into the checkpoint's record of its gaps.

    A checkpoint without gaps, or with a factor that was fitted before, is left as it is; so is one
    for which there are too few validation pairs.

    Args:
        checkpoint: Of a trained model.
        validation: Cells that it was not trained on.
        settings: Of its training pairs.
    """
    if validation is None or settings.time_gap_key is None or not validation.graph.num_edges:
        return
    model = load_model(checkpoint)
    trained = model.required_gaps()
    if trained.is_fitted:
        return
    pairs = gap_pairs(validation, settings, MAX_PAIRS, settings.seed)
    if len(pairs) < LEAST_PAIRS:
        return
    grid = grid_of(trained)
    scores = gap_scores(model, pairs.current, pairs.later, grid)
    sharpness = fit_sharpness(scores, prior_of(trained, grid), grid, pairs.gaps)
    fitted = replace(trained, sharpness=sharpness, is_fitted=True)
    add_entry(checkpoint, "time_gaps", fitted.to_dict())
    logger.info(
        "time between two cells: log-likelihoods count %g, from %d pairs", sharpness, len(pairs)
    )
