"""One pass over a split: everything that is kept of a predictor's answers.

Distributions over all ranks and genes are large (gigabytes for thousands of cells); what is scored
is summed up cell by cell, and of the distribution itself only two profiles remain: its expectation,
and that of one cell drawn from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import (
    CellPairs,
    CellPredictor,
    Predictor,
    Targets,
)
from bionemo.geneformer_t.evaluate.scores.calibration import Calibration, calibration
from bionemo.geneformer_t.evaluate.scores.profiles import rank_weights
from bionemo.geneformer_t.evaluate.scores.token_scores import (
    TokenSums,
    each_answer,
    sums_of,
    token_sums,
)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a predictor said about every current cell, in the order of the cells."""

    tokens: TokenSums
    calibration: Calibration
    expected: Float[ndarray, "cell vocab"]
    """Profile of the expected next cell."""
    drawn: Float[ndarray, "cell vocab"]
    """Profile of one next cell drawn from the prediction."""


def ask(
    predictor: Predictor | CellPredictor,
    pairs: CellPairs,
    num_ranks: int,
    generator: np.random.Generator,
    targets: Iterable[Targets] | None = None,
) -> Answers:
    """Ask a predictor about every current cell.

    Args:
        predictor: What to ask.
        pairs: Current and next cells.
        num_ranks: Ranks that profiles look at.
        generator: Draws cells from the predictions.
        targets: `pairs.targets()`, where the caller shows progress over it.
    """
    sums, calibrations, expected, drawn = [], [], [], []
    for target, log_probs in each_answer(predictor, pairs, targets, least_ranks=num_ranks):
        sums.append(sums_of(target, log_probs))
        calibrations.append(calibration(log_probs, target.next_cells, target.weights))
        probabilities = np.exp(log_probs[:num_ranks].astype(np.float32))
        expected.append(rank_weights(num_ranks).astype(np.float32) @ probabilities)
        drawn.append(draw_profile(probabilities, generator))
    size = (len(sums), pairs.vocab_size)
    return Answers(
        tokens=token_sums(sums),
        calibration=Calibration.join(calibrations),
        expected=np.array(expected, dtype=np.float32).reshape(size),
        drawn=np.array(drawn, dtype=np.float32).reshape(size),
    )


def draw_profile(
    probabilities: Float[ndarray, "rank vocab"], generator: np.random.Generator
) -> Float[ndarray, " vocab"]:
    """The profile of a cell with one gene drawn at each rank; a gene drawn twice keeps its highest.

    Ranks are independent given the current cell, which is what the isolation rule means.
    """
    num_ranks, vocab_size = probabilities.shape
    cumulated = np.cumsum(probabilities, axis=1)
    aims = generator.random(num_ranks) * cumulated[:, -1]
    genes = np.array([np.searchsorted(row, aim) for row, aim in zip(cumulated, aims, strict=True)])
    profile = np.zeros(vocab_size, dtype=np.float32)
    # backwards, so that the highest rank of a gene is written last
    profile[genes[::-1]] = rank_weights(num_ranks)[::-1]
    return profile
