"""After training: give the best checkpoint a kNN memory of the training cells, on request."""

import logging
from pathlib import Path

import numpy as np

from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.knn_memory_fit import fit_memory
from bionemo.geneformer_t.evaluate.resampled_pairs import resampled
from bionemo.geneformer_t.inference.checkpoint import load_model
from bionemo.geneformer_t.training.checkpoint_files import add_entry
from bionemo.geneformer_t.training.settings import TrainSettings

logger = logging.getLogger(__name__)


def add_memory(
    settings: TrainSettings, data: TemporalGeneformerDataModule, checkpoint: Path
) -> None:
    """Fit the memory on the validation cells and write it into the checkpoint.

    The checkpoint is replaced as a whole or not at all. One that has a memory, as when a finished
    run is resumed, is left as it is; without validation cells there is nothing to fit on, and the
    log warns.
    """
    if data.val is None or not data.val.graph.num_edges or not data.train.graph.num_edges:
        logger.warning(
            "successor_memory needs training cells with successors, and validation cells with "
            "successors to fit the mixture on; %s has none, so the model gets no memory",
            settings.data_dir,
        )
        return
    model = load_model(checkpoint)
    if model.memory is not None:
        return
    training, validation = (CellPairs.from_dataset(split) for split in (data.train, data.val))
    if data.train.resampler is not None:
        training = resampled(training, data.train.resampler, settings.seed)
    memory = fit_memory(model, training, validation, np.random.default_rng(settings.seed))
    logger.info("memory: %s", memory.mixing)
    add_entry(checkpoint, "memory", memory.to_dict())
