"""The scores at the end of a training run: the best checkpoint and its baselines.

A run is complete when its checkpoints are written. If it cannot be scored, the log says why, and
the run does not fail.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from bionemo.geneformer_t.run.command import USER_ERRORS, is_ours
from bionemo.geneformer_t.training.settings import TrainSettings

if TYPE_CHECKING:
    from bionemo.geneformer_t.data.cell_store import CellStore
    from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule

logger = logging.getLogger(__name__)

MOST_CELLS, LEAST_CELLS = 500, 50
MOST_NUMBERS = 5 * 10**8
"""Probabilities (cells x ranks x genes) that each predictor computes, beyond `LEAST_CELLS`: about
two minutes of one core for the model and all baselines."""


def final_evaluation(
    settings: TrainSettings, checkpoint: Path, data: "TemporalGeneformerDataModule"
) -> None:
    """Score a checkpoint on `test`, or on `val` if there is no `test`.

    Prints the table and the verdicts, and writes evaluation.json and evaluation.txt into the output
    folder. If there is nothing to score, or scoring fails, one line of the log says why. A run that
    was already scored, such as one that is resumed after its end, is not scored again, according to
    the fingerprints of weights, cells and graph in evaluation.json.

    Args:
        settings: The run's.
        checkpoint: Its best.
        data: Its data, whose splits are open.
    """
    import torch

    from bionemo.geneformer_t.run.evaluate import (
        EvaluateSettings,
        evaluate_checkpoint,
        write_scores,
    )

    reason = why_not(settings, checkpoint)
    if reason is None:
        try:
            split = _split(settings)
            stores = {name: data.store(name) for name in ("train", split)}
            if is_scored(settings, checkpoint, stores[split]):
                return
            evaluated = evaluate_checkpoint(
                EvaluateSettings(
                    checkpoint=checkpoint,
                    data_dir=settings.data_dir,
                    split=split,
                    max_cells=max_cells(settings.genes_per_cell, len(data.vocab)),
                    seed=settings.seed,
                ),
                stores,
            )
            write_scores(evaluated, settings.output_dir)
        except (*USER_ERRORS, torch.OutOfMemoryError) as error:
            if not is_ours(error) and not isinstance(error, MemoryError | torch.OutOfMemoryError):
                raise
            reason = str(error)
    if reason is not None:
        logger.warning("no scores at the end of this run: %s", reason)


def why_not(settings: TrainSettings, checkpoint: Path) -> str | None:
    """Why a run cannot be scored; None if it can."""
    if settings.objective == "mlm":
        return "objective 'mlm' trains on single cells, and scores are those of next cells"
    if not _split(settings):
        return f"{settings.data_dir} has neither test nor val, with cells that were not trained on"
    if not checkpoint.is_file():
        return f"there is no checkpoint file {checkpoint}"
    return None


def max_cells(num_ranks: int, vocab_size: int) -> int:
    """How many current cells are scored, so that it takes minutes for any vocabulary."""
    return max(LEAST_CELLS, min(MOST_CELLS, MOST_NUMBERS // (num_ranks * vocab_size)))


def _split(settings: TrainSettings) -> str:
    return next((n for n in ("test", "val") if (settings.data_dir / n).is_dir()), "")


def is_scored(settings: TrainSettings, checkpoint: Path, store: "CellStore") -> bool:
    """Whether the output folder has the scores of exactly these weights on exactly these cells.

    Other scores are overwritten, and the log says what is different.
    """
    from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
    from bionemo.geneformer_t.inference.model_fingerprint import model_fingerprint
    from bionemo.geneformer_t.report.evaluated import what_is_scored
    from bionemo.geneformer_t.report.evaluation_files import EVALUATION, scores_beside
    from bionemo.geneformer_t.training.shuffled_control import find_control

    if not (settings.output_dir / EVALUATION).is_file():
        return False
    model = load_model(checkpoint)
    dataset = open_split(model, store)
    found = find_control(settings.output_dir).checkpoint
    control = None if found is None else model_fingerprint(load_model(found))
    wanted = what_is_scored(model_fingerprint(model), _split(settings), dataset, control)
    scores, words = scores_beside(settings.output_dir, wanted)
    if scores is None:
        logger.warning("scoring again: %s", words)
    else:
        logger.info("%s is scored in %s", checkpoint, words)
    return scores is not None
