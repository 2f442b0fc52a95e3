"""Whether an answer depends on the cell: distinct lists, information, and variance of answers.

A prediction that is the same for every cell can have a good cross-entropy. How much predictions
differ is the mutual information between the cell and the answer: the mean Kullback-Leibler
divergence of the predicted distribution at a rank from its average over cells (Cover and Thomas
2006, 2.3). It is what the model claims to know about the cell; how much of it is true is the gain
in log-probability of true genes over that average. Claimed and true agree for a calibrated model.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import Targets
from bionemo.geneformer_t.evaluate.scores.profiles import PairProfiles
from bionemo.geneformer_t.evaluate.scores.token_scores import CellSums
from bionemo.geneformer_t.evaluate.units import Level

LISTED = 10
"""Genes of a list."""
_LEAST = np.float32(-1e4)
"""Stands for the logarithm of 0, to be multiplied by 0."""


@dataclass(frozen=True, kw_only=True)
class AnswerVariety:
    """How much the answers of one predictor differ between current cells."""

    distinct_lists: int
    """Different lists of the `LISTED` highest genes, in their order."""
    information: float
    """Mutual information between the cell and the gene at a rank, nats per position; 0 where the
    answer is the same for all cells."""
    between_cells: float
    """Variance of the expected profile between current cells, summed over genes."""
    within_cells: float
    """Variance around it of the profile of a cell drawn from the prediction."""

    @property
    def fraction_between(self) -> float:
        """Of the variance of drawn cells, what the current cell decides; NaN without variance."""
        return _fraction(self.between_cells, self.within_cells)


@dataclass(frozen=True, kw_only=True)
class TrueVariety:
    """The same of the true next cells, as far as they tell."""

    distinct_lists: int
    """Different lists of the `LISTED` highest genes of the mean of a cell's next cells."""
    between_cells: float
    """Variance between current cells of the mean of all cells that could follow, unbiased; NaN
    where no current cell has two next cells."""
    within_cells: float
    """Variance between next cells of the same current cell."""

    @property
    def fraction_between(self) -> float:
        """Of the variance of next cells, what the current cell decides; NaN where not known."""
        return _fraction(self.between_cells, self.within_cells)


@dataclass
class AveragePrediction:
    """Collects the average distribution at each rank, and the mean entropy, cell by cell.

    Differences from the first cell are added up, so that equal predictions give exactly that
    prediction and an information of exactly zero.
    """

    number: int = 0
    first: Float[ndarray, "rank vocab"] = field(default_factory=lambda: np.zeros((0, 0)))
    first_log: Float[ndarray, "rank vocab"] = field(default_factory=lambda: np.zeros((0, 0)))
    apart: Float[ndarray, "rank vocab"] = field(default_factory=lambda: np.zeros((0, 0)))
    first_entropy: float = 0.0
    entropy_apart: float = 0.0

    def add(
        self,
        log_probs: Float[ndarray, "rank vocab"],
        probabilities: Float[ndarray, "rank vocab"],
    ) -> None:
        """Take one cell's distributions, with as many ranks for every cell."""
        entropy = _entropy(log_probs, probabilities)
        if not self.number:
            self.first, self.first_entropy = probabilities.copy(), entropy
            self.first_log = log_probs.copy()
            self.apart = np.zeros(probabilities.shape, dtype=np.float64)
        else:
            self.apart += probabilities - self.first
            self.entropy_apart += entropy - self.first_entropy
        self.number += 1

    @property
    def mean(self) -> Float[ndarray, "rank vocab"]:
        """The average distribution at each rank."""
        found: ndarray = self.first + (self.apart / max(self.number, 1)).astype(np.float32)
        return np.maximum(found, 0)

    @property
    def log_mean(self) -> Float[ndarray, "rank vocab"]:
        """Its logarithm; that of the first prediction, to the bit, where all are equal."""
        if not self.apart.any():
            return self.first_log
        with np.errstate(divide="ignore"):
            return np.log(self.mean)

    @property
    def information(self) -> float:
        """Entropy of the average less the mean entropy, nats per position."""
        if not self.apart.any():
            return 0.0
        mean = self.mean
        own = self.first_entropy + self.entropy_apart / self.number
        return max(_entropy(self.log_mean, mean) - own, 0.0)


def answer_variety(
    average: AveragePrediction,
    expected: Float[ndarray, "cell vocab"],
    drawn: Float[ndarray, "cell vocab"],
) -> AnswerVariety:
    """What the answers of a predictor say of the cell.

    Args:
        average: Of all cells.
        expected: Profile of the expected next cell of each current cell.
        drawn: Profile of one next cell drawn from each prediction.
    """
    centred = expected - expected[0]
    centred = centred - centred.mean(axis=0)
    apart = drawn - expected
    return AnswerVariety(
        distinct_lists=distinct_lists(expected),
        information=average.information,
        between_cells=float((centred.astype(np.float64) ** 2).sum() / max(len(expected) - 1, 1)),
        within_cells=float((apart.astype(np.float64) ** 2).sum() / len(expected)),
    )


def true_variety(profiles: PairProfiles, level: Level) -> TrueVariety:
    """Variance of true next cells between and within current cells.

    Args:
        profiles: Of current and next cells.
        level: Says which pairs are of which current cell, and their weights.
    """
    current, weights = level.current, level.weights
    own, squares = profiles.dense[1].astype(np.float64), np.bincount(current, weights**2)
    lengths = np.asarray(profiles.next_cells.multiply(profiles.next_cells).sum(axis=1)).ravel()
    # the spread around the weighted mean falls short of the variance by the factor 1 - sum w^2
    spread = np.bincount(current, weights * lengths[profiles.of_pair]) - (own**2).sum(axis=1)
    known = 1 - squares > 1e-9
    within = float((spread[known] / (1 - squares[known])).mean()) if known.any() else float("nan")
    of_means = float(own.var(axis=0, ddof=1).sum()) if len(own) > 1 else float("nan")
    return TrueVariety(
        distinct_lists=distinct_lists(own),
        between_cells=max(of_means - within * float(squares.mean()), 0.0)
        if known.any()
        else float("nan"),
        within_cells=within,
    )


def distinct_lists(expected: Float[ndarray, "cell vocab"]) -> int:
    """How many different lists of highest genes, in their order, there are."""
    return len(np.unique(np.argsort(-expected, axis=1, kind="stable")[:, :LISTED], axis=0))


def cell_sums(target: Targets, log_probs: Float[ndarray, "rank vocab"]) -> CellSums:
    """The cross-entropies of the next cells of one current cell, as far as ranks are predicted."""
    of_pairs = np.array([_sums_of(log_probs, genes) for genes in target.next_cells])
    totals = np.array(target.weights) @ of_pairs
    return CellSums(
        cells=np.array([target.cell]),
        positions=totals[:1],
        sums=totals[None, 1:],
        of_pairs=of_pairs,
    )


def _sums_of(
    log_probs: Float[ndarray, "rank vocab"], genes: Int[ndarray, " _"]
) -> tuple[int, float]:
    kept = genes[: len(log_probs)]
    own = log_probs[np.arange(len(kept)), kept].astype(np.float64)
    return len(kept), -float(own.sum())


def _entropy(
    log_probs: Float[ndarray, "rank vocab"], probabilities: Float[ndarray, "rank vocab"]
) -> float:
    """Nats per position."""
    products = probabilities * np.maximum(log_probs, _LEAST)
    return -float(products.sum(axis=1).mean(dtype=np.float64))


def _fraction(between: float, within: float) -> float:
    total = between + within
    return between / total if total > 0 else float("nan")
