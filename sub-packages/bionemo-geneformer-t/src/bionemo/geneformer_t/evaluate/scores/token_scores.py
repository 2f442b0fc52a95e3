"""Token-level scores: how much probability the genes that are really there were given.

Every rank of every successor is scored, all shown as [MASK]. Sums are kept for each current cell
and for each pair, because cells, not positions, are what a confidence interval rests on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import Targets

TOP = (1, 10, 100)
MEASURES = ("cross_entropy", *(f"top{k}" for k in TOP))


@dataclass(frozen=True, kw_only=True)
class PositionScores:
    """Means over scored positions."""

    cross_entropy: float
    """Nats per position."""
    top1: float
    """Fraction of positions whose gene is the most probable one."""
    top10: float
    """Fraction of positions whose gene is among the ten most probable."""
    top100: float
    """Fraction of positions whose gene is among the hundred most probable."""


@dataclass(frozen=True, kw_only=True)
class CellSums:
    """Sums over the scored positions of each current cell."""

    cells: Int[ndarray, " cell"]
    """Rows of the current cells."""
    sums: Float[ndarray, "cell measure"]
    """Columns as in `MEASURES`; pairs weighted by their probability."""
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

    @classmethod
    def join(cls, parts: "Sequence[CellSums]") -> "CellSums":
        """The sums of several cells, one after the other."""
        # the last digits of means depend on the layout: positions and sums are columns of one table
        table = np.concatenate([np.column_stack([p.positions, p.sums]) for p in parts])
        return cls(
            cells=np.concatenate([part.cells for part in parts]),
            positions=table[:, 0],
            sums=table[:, 1:],
            of_pairs=np.concatenate([part.of_pairs for part in parts]),
        )


@dataclass(frozen=True, kw_only=True)
class TokenSums:
    """One predictor's sums: over all positions, and over changed genes alone."""

    all: CellSums
    changed: CellSums
    """Positions whose gene the current cell does not express."""

    @classmethod
    def join(cls, parts: "Sequence[TokenSums]") -> "TokenSums":
        """The sums of several cells, one after the other."""
        return cls(
            all=CellSums.join([part.all for part in parts]),
            changed=CellSums.join([part.changed for part in parts]),
        )


def token_sums(target: Targets, log_probs: Float[ndarray, "rank vocab"]) -> TokenSums:
    """The sums of one current cell.

    Args:
        target: The current cell and its successors.
        log_probs: The predicted distributions, as far as the successors reach.
    """
    measures = [position_measures(log_probs[: len(genes)], genes) for genes in target.next_cells]
    changed = [~np.isin(genes, target.expressed) for genes in target.next_cells]
    return TokenSums(
        all=_cell_sums(target, measures, [np.ones_like(which) for which in changed]),
        changed=_cell_sums(target, measures, changed),
    )


def position_measures(
    log_probs: Float[ndarray, "rank vocab"], genes: Int[ndarray, " rank"]
) -> Float[ndarray, "rank measure"]:
    """Cross-entropy and hits of each position, columns as in `MEASURES`.

    Genes of equal probability share their ranks, as if ties were broken at random: a uniform
    predictor over v genes is right with probability k / v among the top k.
    """
    own = log_probs[np.arange(len(genes)), genes]
    better = (log_probs > own[:, None]).sum(axis=1)
    equal = (log_probs == own[:, None]).sum(axis=1)
    hits = [np.clip((k - better) / equal, 0, 1) for k in TOP]
    return np.stack([-own.astype(np.float64), *hits], axis=1)


def _cell_sums(
    target: Targets,
    measures: list[Float[ndarray, "_ measure"]],
    counted: list[Bool[ndarray, " _"]],
) -> CellSums:
    """The sums over the positions that are counted."""
    of_pairs = np.array(
        [[c.sum(), *m[c].sum(axis=0)] for m, c in zip(measures, counted, strict=True)]
    )
    weighted = zip(target.weights, of_pairs, strict=True)
    total = sum((weight * sums for weight, sums in weighted), np.zeros(1 + len(MEASURES)))
    return CellSums(
        cells=np.array([target.cell], dtype=np.int64),
        positions=total[:1],
        sums=total[None, 1:],
        of_pairs=of_pairs[:, :2],
    )
