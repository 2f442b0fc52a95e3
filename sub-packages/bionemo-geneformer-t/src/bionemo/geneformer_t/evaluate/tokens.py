"""Token-level scores: how much probability the genes that are really there were given.

Every rank of every successor is scored, all shown as [MASK]. Sums are kept for each current cell,
because cells, not positions, are what a confidence interval resamples.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.pairs import CellPairs, CellPredictor, Predictor, Targets

T = TypeVar("T")

TOP = (1, 10, 100)
MEASURES = ("cross_entropy", *(f"top{k}" for k in TOP))
_NUMBERS_AT_ONCE = 2**25
"""Log-probabilities asked of a predictor at a time: 128 MiB of float32."""


@dataclass(frozen=True, kw_only=True)
class PositionScores:
    """Means over scored positions."""

    cross_entropy: float
    """Nats per position."""
    top1: float
    """Share of positions whose gene is the likeliest one."""
    top10: float
    """Share of positions whose gene is among the ten likeliest."""
    top100: float
    """Share of positions whose gene is among the hundred likeliest."""


@dataclass(frozen=True, kw_only=True)
class CellSums:
    """Sums over the scored positions of each current cell."""

    cells: Int[ndarray, " cell"]
    """Rows of the current cells."""
    sums: Float[ndarray, "cell measure"]
    """Columns as in `MEASURES`; pairs weighted by their share."""
    positions: Float[ndarray, " cell"]
    """Weighted number of positions; sums / positions are means."""

    def mean(self, times: Int[ndarray, "draw cell"] | None = None) -> Float[ndarray, "..."]:
        """Means of the measures, NaN where there are no positions.

        Args:
            times: How often each cell counts in each of several resamplings; by default once.

        Returns:
            `[measure]`, or `[draw, measure]`.
        """
        counted = np.ones(len(self.cells)) if times is None else times
        positions = (counted @ self.positions)[..., None]
        sums = counted @ self.sums
        return np.divide(sums, positions, out=np.full_like(sums, np.nan), where=positions > 0)

    @property
    def scores(self) -> PositionScores:
        """The means with their names."""
        return PositionScores(**dict(zip(MEASURES, self.mean().tolist(), strict=True)))


@dataclass(frozen=True, kw_only=True)
class TokenSums:
    """One predictor's sums: over all positions, and over changed genes alone."""

    all: CellSums
    changed: CellSums
    """Positions whose gene the current cell does not express."""


def score_tokens(
    predictor: Predictor | CellPredictor, pairs: CellPairs, targets: Iterable[Targets] | None = None
) -> TokenSums:
    """Ask a predictor about every current cell and score all its successors.

    Args:
        predictor: What to score.
        pairs: Current and next cells.
        targets: `pairs.targets()`, where the caller has it already or shows progress over it.
    """
    answers = each_answer(predictor, pairs, targets)
    return token_sums([(target.cell, *sums_of(target, rows)) for target, rows in answers])


def each_answer(
    predictor: Predictor | CellPredictor,
    pairs: CellPairs,
    targets: Iterable[Targets] | None = None,
    *,
    least_ranks: int = 0,
) -> Iterator[tuple[Targets, Float[ndarray, "rank vocab"]]]:
    """Every current cell with the distributions predicted for it, as far as its next cells reach.

    Args:
        predictor: What to ask, some cells at a time.
        pairs: Current and next cells.
        targets: `pairs.targets()`, where the caller has it already.
        least_ranks: Ask about so many ranks at least.
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


def sums_of(
    target: Targets, log_probs: Float[ndarray, "rank vocab"]
) -> tuple[Float[ndarray, " count_and_sum"], Float[ndarray, " count_and_sum"]]:
    """The weighted number of positions of one current cell and the sums of their measures.

    Returns:
        Those of all positions, and those of genes that the current cell does not express.
    """
    everything, changed = np.zeros((2, 1 + len(MEASURES)))
    for genes, weight in zip(target.next_cells, target.weights, strict=True):
        measures = position_measures(log_probs[: len(genes)], genes)
        is_new = ~np.isin(genes, target.expressed)
        everything += weight * _count_and_sum(measures, np.ones_like(is_new))
        changed += weight * _count_and_sum(measures, is_new)
    return everything, changed


def token_sums(
    rows: list[tuple[int, Float[ndarray, " count_and_sum"], Float[ndarray, " count_and_sum"]]],
) -> TokenSums:
    """The sums of all current cells: their rows and what `sums_of` gave."""
    cells = np.array([cell for cell, _, _ in rows], dtype=np.int64)
    return TokenSums(
        all=_cell_sums(cells, [everything for _, everything, _ in rows]),
        changed=_cell_sums(cells, [changed for _, _, changed in rows]),
    )


def position_measures(
    log_probs: Float[ndarray, "rank vocab"], genes: Int[ndarray, " rank"]
) -> Float[ndarray, "rank measure"]:
    """Cross-entropy and hits of each position, columns as in `MEASURES`.

    Genes that are equally likely share the places they take, as if ties were broken at random: a
    uniform predictor over v genes is right with probability k / v among the top k.
    """
    own = log_probs[np.arange(len(genes)), genes]
    better = (log_probs > own[:, None]).sum(axis=1)
    equal = (log_probs == own[:, None]).sum(axis=1)
    hits = [np.clip((k - better) / equal, 0, 1) for k in TOP]
    return np.stack([-own.astype(np.float64), *hits], axis=1)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Items in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some


def _count_and_sum(
    measures: Float[ndarray, "rank measure"], which: Bool[ndarray, " rank"]
) -> Float[ndarray, " measure_and_count"]:
    return np.array([which.sum(), *measures[which].sum(axis=0)])


def _cell_sums(cells: Int[ndarray, " cell"], rows: list[Float[ndarray, " _"]]) -> CellSums:
    table = np.array(rows).reshape(len(rows), 1 + len(MEASURES))
    return CellSums(cells=cells, positions=table[:, 0], sums=table[:, 1:])
