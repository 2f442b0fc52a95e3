"""One pass over a split: everything that is kept of a predictor's distributions.

Distributions over all ranks and genes are large (gigabytes for thousands of cells); what is scored
is summed up cell by cell, and of the distribution itself only two profiles remain: its expectation,
and that of one cell drawn from it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.answer_variety import (
    AnswerVariety,
    AveragePrediction,
    answer_variety,
    cell_sums,
)
from bionemo.geneformer_t.evaluate.evaluation_pairs import (
    CellPairs,
    CellPredictor,
    Predictor,
    Targets,
)
from bionemo.geneformer_t.evaluate.scores.calibration import Calibration, calibration
from bionemo.geneformer_t.evaluate.scores.token_scores import CellSums, TokenSums, token_sums
from bionemo.geneformer_t.model.normalised_ranks import rank_weights

T = TypeVar("T")

_NUMBERS_AT_ONCE = 2**25
"""Log-probabilities that are predicted at a time: 128 MiB of float32."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What is kept of the predictions for all current cells, in the order of the cells."""

    tokens: TokenSums
    calibration: Calibration
    expected: Float[ndarray, "cell vocab"]
    """Profile of the expected next cell."""
    drawn: Float[ndarray, "cell vocab"]
    """Profile of one next cell drawn from the prediction."""
    variety: AnswerVariety
    own: CellSums
    """Cross-entropies of the ranks of profiles."""
    by_average: CellSums
    """The same if every cell is given the average of all predictions."""

    @classmethod
    def of(
        cls,
        predictor: Predictor | CellPredictor,
        pairs: CellPairs,
        num_ranks: int,
        rng: np.random.Generator,
        targets: Iterable[Targets] | None = None,
    ) -> "Predictions":
        """Predict the next cell of every current cell.

        Args:
            predictor: What predicts.
            pairs: Current and next cells.
            num_ranks: Ranks of the profiles.
            rng: Draws cells from the predictions.
            targets: `pairs.targets()`, where the caller shows progress over it.
        """
        sums, calibrations, expected, drawn, own, kept = [], [], [], [], [], []
        average = AveragePrediction()
        for target, log_probs in each_prediction(predictor, pairs, targets, least_ranks=num_ranks):
            sums.append(token_sums(target, log_probs))
            calibrations.append(calibration(log_probs, target.next_cells, target.weights))
            within_ranks = log_probs[:num_ranks].astype(np.float32)
            probabilities = np.exp(within_ranks)
            average.add(within_ranks, probabilities)
            own.append(cell_sums(target, within_ranks))
            kept.append(target)
            expected.append(rank_weights(num_ranks).astype(np.float32) @ probabilities)
            drawn.append(draw_profile(probabilities, rng))
        profiles, of_drawn = (np.array(rows, dtype=np.float32) for rows in (expected, drawn))
        log_mean = average.log_mean
        return cls(
            tokens=TokenSums.join(sums),
            calibration=Calibration.join(calibrations),
            expected=profiles,
            drawn=of_drawn,
            variety=answer_variety(average, profiles, of_drawn),
            own=CellSums.join(own),
            by_average=CellSums.join([cell_sums(target, log_mean) for target in kept]),
        )


def each_prediction(
    predictor: Predictor | CellPredictor,
    pairs: CellPairs,
    targets: Iterable[Targets] | None = None,
    *,
    least_ranks: int = 0,
) -> Iterator[tuple[Targets, Float[ndarray, "rank vocab"]]]:
    """Every current cell with the distributions predicted for it, as far as its next cells reach.

    Args:
        predictor: What predicts, some cells at a time.
        pairs: Current and next cells.
        targets: `pairs.targets()`, where the caller has it already.
        least_ranks: Predict at least so many ranks.
    """
    size = max(1, _NUMBERS_AT_ONCE // (pairs.max_genes * pairs.vocab_size))
    for some in batches(pairs.targets() if targets is None else targets, size):
        longest = max((len(n) for t in some for n in t.next_cells), default=0)
        num_ranks = max(longest, least_ranks)
        if isinstance(predictor, CellPredictor):
            found = predictor.of_cells(np.array([t.cell for t in some]), num_ranks)
        else:
            found = predictor([t.context for t in some], num_ranks)
        yield from zip(some, found, strict=True)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Items in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some


def draw_profile(
    probabilities: Float[ndarray, "rank vocab"], rng: np.random.Generator
) -> Float[ndarray, " vocab"]:
    """The profile of a cell with one gene drawn at each rank; a gene drawn twice keeps its highest.

    Ranks are independent given the current cell, which is what the isolation rule means.
    """
    num_ranks, vocab_size = probabilities.shape
    cumulated = np.cumsum(probabilities, axis=1)
    aims = rng.random(num_ranks) * cumulated[:, -1]
    genes = np.array([np.searchsorted(row, aim) for row, aim in zip(cumulated, aims, strict=True)])
    profile = np.zeros(vocab_size, dtype=np.float32)
    # backwards, so that the highest rank of a gene is written last
    profile[genes[::-1]] = rank_weights(num_ranks)[::-1]
    return profile
