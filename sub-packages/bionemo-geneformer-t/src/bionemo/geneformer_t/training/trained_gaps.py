"""The time gaps of a training run: how its network scales them, and what its checkpoint says."""

import logging

import numpy as np

from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.model.temporal_model import TemporalGeneformerModel
from bionemo.geneformer_t.model.time_gap import TrainedGaps

logger = logging.getLogger(__name__)

MAX_CELLS = 10_000
"""Current cells whose gaps are drawn once, as training draws them."""


def set_trained_gaps(model: TemporalGeneformerModel, training: TemporalGeneformerDataset) -> None:
    """Record the gaps of the training pairs, where the model is told gaps; for a fresh run only.

    Every process draws the same.

    Raises:
        ValueError: No pair has a gap.
    """
    if training.gaps is None or model.net.time_gap is None:
        return
    some = np.linspace(0, len(training) - 1, min(len(training), MAX_CELLS)).astype(np.int64)
    gaps = training.drawn_gaps(some)
    gaps = gaps[np.isfinite(gaps)]
    if not len(gaps):
        raise ValueError(
            f"time_gap_key is {training.gaps.key!r}, but no pair of cells has a time between them"
        )
    found = TrainedGaps.of(
        gaps, key=training.gaps.key, unit=training.gaps.unit, days=training.gaps.days
    )
    model.time_gaps = found
    model.net.time_gap.set_range(found.shortest, found.longest)
    logger.info("time gaps: %s", found)
