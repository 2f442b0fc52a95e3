"""Token-level scores: how much probability the genes that are really there were given.

Every rank of every successor is scored, all shown as [MASK]. Sums are kept for each current cell
and for each pair, because cells, not positions, are what a confidence interval rests on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import (
    CellPairs,
    CellPredictor,
    Predictor,
    Targets,
)

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
    of_pairs: Float[ndarray, "pair 2"]
    """Of each pair, unweighted: its positions, and the sum of their cross-entropies."""

    @property
    def of_cells(self) -> Float[ndarray, "cell 2"]:
        """The same of each current cell: weighted sums over its pairs."""
        return np.column_stack([self.positions, self.sums[:, 0]])

    def mean(self) -> Float[ndarray, " measure"]:
        """Means of the measures, NaN where there are no positions."""
        counted = np.ones(len(self.cells))
        positions, sums = (counted @ self.positions)[..., None], counted @ self.sums
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
    return token_sums([sums_of(target, rows) for target, rows in answers])


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


@dataclass(frozen=True, kw_only=True)
class TargetSums:
    """One current cell: number of positions and sums of their measures."""

    cell: int
    all: Float[ndarray, " count_and_sum"]
    """Weighted sums over its successors."""
    changed: Float[ndarray, " count_and_sum"]
    """The same over genes that the current cell does not express."""
    pairs: Float[ndarray, "which successor 2"]
    """All and changed positions of each successor: their number and summed cross-entropy."""


def sums_of(target: Targets, log_probs: Float[ndarray, "rank vocab"]) -> TargetSums:
    """The weighted number of positions of one current cell and the sums of their measures."""
    everything, changed = np.zeros((2, 1 + len(MEASURES)))
    pairs = np.zeros((2, len(target.next_cells), 2))
    for i, (genes, weight) in enumerate(zip(target.next_cells, target.weights, strict=True)):
        measures = position_measures(log_probs[: len(genes)], genes)
        is_new = ~np.isin(genes, target.expressed)
        sums = _count_and_sum(measures, np.ones_like(is_new)), _count_and_sum(measures, is_new)
        everything += weight * sums[0]
        changed += weight * sums[1]
        pairs[:, i] = sums[0][:2], sums[1][:2]
    return TargetSums(cell=target.cell, all=everything, changed=changed, pairs=pairs)


def token_sums(rows: list[TargetSums]) -> TokenSums:
    """The sums of all current cells."""
    cells = np.array([row.cell for row in rows], dtype=np.int64)
    all_pairs, changed_pairs = np.concatenate([np.zeros((2, 0, 2)), *(r.pairs for r in rows)], 1)
    return TokenSums(
        all=_cell_sums(cells, [row.all for row in rows], all_pairs),
        changed=_cell_sums(cells, [row.changed for row in rows], changed_pairs),
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


def _cell_sums(
    cells: Int[ndarray, " cell"],
    rows: list[Float[ndarray, " _"]],
    of_pairs: Float[ndarray, "pair 2"],
) -> CellSums:
    table = np.array(rows).reshape(len(rows), 1 + len(MEASURES))
    return CellSums(cells=cells, positions=table[:, 0], sums=table[:, 1:], of_pairs=of_pairs)
