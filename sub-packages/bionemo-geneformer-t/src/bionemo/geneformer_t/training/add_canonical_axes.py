"""After training: give the best checkpoint canonical axes of its training cells."""

import logging
from pathlib import Path

import numpy as np

from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.fates.fit_canonical_axes import axes_of_split
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.training.checkpoint_files import add_entry

logger = logging.getLogger(__name__)


def add_canonical_axes(
    checkpoint: Path,
    training: TemporalGeneformerDataset,
    validation: TemporalGeneformerDataset | None,
    seed: int,
    *,
    again: bool = False,
) -> None:
    """Fit the axes and write them into the checkpoint, which is replaced whole or not at all.

    A checkpoint that has them, or transitions that were fitted without them, as when a finished run
    is resumed, is left as it is. So is one without validation cells that have successors, on which
    their weight would be chosen, and one of few pairs of cells, or of pairs in which nothing of the
    next cell goes along with the current one: the log says so.

    Args:
        checkpoint: Of a trained model.
        training: The cells that it was trained on.
        validation: Cells that it was not trained on.
        seed: Draws cells and folds.
        again: Transitions are fitted again, so that those of before do not count.
    """
    if validation is None or not validation.graph.num_edges:
        return
    model = load_model(checkpoint)
    if model.axes is not None or (model.transitions is not None and not again):
        return
    axes = axes_of_split(training, genes_per_cell(model), np.random.default_rng(seed))
    if axes is None:
        logger.info(
            "canonical axes: none; the training pairs are too few, or next cells do not go along "
            "with their current cells"
        )
        return
    logger.info("%s, from training cells in folds", axes)
    add_entry(checkpoint, "axes", axes.to_dict())
