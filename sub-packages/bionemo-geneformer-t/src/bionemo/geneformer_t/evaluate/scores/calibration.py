"""Calibration: whether probabilities are true frequencies, and whether entropy goes with error."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

EDGES = np.concatenate([[0.0], np.logspace(-4, 0, 17)])
"""Borders of the probabilities that are counted together: gene probabilities span decades."""


def _no_pairs() -> Float[ndarray, "0 bin 2"]:
    return np.zeros((0, len(EDGES) - 1, 2), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Sums over positions, to which those of other cells can be added."""

    claimed: Float[ndarray, " bin"]
    """Sum of the probabilities of the most probable genes, binned by that probability."""
    right: Float[ndarray, " bin"]
    """How often that gene was there."""
    positions: Float[ndarray, " bin"]
    """How many positions."""
    entropy: Float[ndarray, " cell"]
    """Mean entropy of the predicted distributions of each current cell, nats."""
    cross_entropy: Float[ndarray, " cell"]
    """Mean cross-entropy of the genes that were there, nats."""
    of_pairs: Float[ndarray, "pair bin 2"] = field(default_factory=_no_pairs)
    """Of each pair, unweighted: positions, and how often the most probable gene was there."""

    @property
    def expected_error(self) -> float:
        """Mean gap between claimed and found, weighted by positions (ECE, Naeini et al. 2015)."""
        total = self.positions.sum()
        return float(np.abs(self.claimed - self.right).sum() / total) if total else float("nan")

    @property
    def entropy_vs_error(self) -> float:
        """Spearman correlation over cells between entropy and cross-entropy."""
        from bionemo.geneformer_t.evaluate.scores.expression_change import spearman

        known = np.isfinite(self.entropy) & np.isfinite(self.cross_entropy)
        if known.sum() < 3:
            return float("nan")
        return spearman(self.entropy[known], self.cross_entropy[known])

    def summed(self) -> "Calibration":
        """The same without what only intervals need."""
        return replace(self, of_pairs=_no_pairs())

    @classmethod
    def join(cls, parts: "list[Calibration]") -> "Calibration":
        """The sums over several cells."""
        size = len(EDGES) - 1
        return cls(
            claimed=sum((part.claimed for part in parts), np.zeros(size)),
            right=sum((part.right for part in parts), np.zeros(size)),
            positions=sum((part.positions for part in parts), np.zeros(size)),
            entropy=np.concatenate([part.entropy for part in parts] or [np.zeros(0)]),
            cross_entropy=np.concatenate([part.cross_entropy for part in parts] or [np.zeros(0)]),
            of_pairs=np.concatenate([_no_pairs(), *(part.of_pairs for part in parts)]),
        )


def calibration(
    log_probs: Float[ndarray, "rank vocab"],
    next_cells: list[Int[ndarray, " _"]],
    weights: list[float],
) -> Calibration:
    """The sums of one current cell.

    Args:
        log_probs: Predicted distributions.
        next_cells: Genes of the true successors in rank order.
        weights: The successors' probabilities.
    """
    probs = np.exp(log_probs.astype(np.float64))
    entropies = -np.where(probs > 0, probs * np.maximum(log_probs, -700), 0).sum(axis=1)
    top = log_probs.argmax(axis=1)
    claimed = probs[np.arange(len(probs)), top]
    where = np.clip(np.searchsorted(EDGES, claimed, side="left") - 1, 0, len(EDGES) - 2)
    sums = np.zeros((3, len(EDGES) - 1))
    entropy = loss = count = 0.0
    of_pairs = np.zeros((len(next_cells), len(EDGES) - 1, 2), dtype=np.float32)
    for pair, (genes, weight) in enumerate(zip(next_cells, weights, strict=True)):
        ranks = np.arange(len(genes))
        np.add.at(of_pairs[pair, :, 0], where[ranks], 1)
        np.add.at(of_pairs[pair, :, 1], where[ranks], top[ranks] == genes)
        np.add.at(sums[0], where[ranks], weight * claimed[ranks])
        np.add.at(sums[1], where[ranks], weight * (top[ranks] == genes))
        np.add.at(sums[2], where[ranks], weight)
        entropy += weight * float(entropies[ranks].sum())
        loss -= weight * float(log_probs[ranks, genes].sum())
        count += weight * len(genes)
    means = np.array([entropy, loss]) / count if count else np.full(2, np.nan)
    return Calibration(
        claimed=sums[0],
        right=sums[1],
        positions=sums[2],
        entropy=means[:1],
        cross_entropy=means[1:],
        of_pairs=of_pairs,
    )
