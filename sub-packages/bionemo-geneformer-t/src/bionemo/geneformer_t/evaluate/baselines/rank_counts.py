"""How often each gene is at each rank of next cells.

Counts at a single rank are sparse; a Gaussian over ranks smooths them, and its width is the best
one for next cells that are held out of the counting.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.mixture import best_mixture

WIDTHS = (0.25, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Standard deviations in ranks that are tried."""
_AT_ONCE = 2**23
"""Numbers that are smoothed at a time."""
_LEAST_COUNT = np.float32(1e-6)
"""Smoothed counts below this come from ranks too far away to say anything."""


@dataclass(frozen=True, kw_only=True)
class RankFrequency:
    """A predictor that gives every cell the same distribution at each rank."""

    table: Float[ndarray, "rank vocab"]
    """Probabilities."""
    width: float
    """The chosen standard deviation, in ranks."""
    mix: tuple[float, ...]
    """Weights of the smoothed frequencies, the frequencies over all ranks, and the uniform."""

    def __call__(
        self, contexts: list[Int[ndarray, " _"]], num_ranks: int
    ) -> Float[ndarray, "context rank vocab"]:
        """The logarithm of the table's first rows, for every context."""
        with np.errstate(divide="ignore"):
            log_table = np.log(self.table[:num_ranks])
        return np.broadcast_to(log_table, (len(contexts), *log_table.shape))


@dataclass(frozen=True, kw_only=True)
class SparseCounts:
    """Counts of `count_ranks`, of which only some positions are smoothed."""

    counts: sp.csc_array
    """Ranks x vocabulary."""

    @classmethod
    def of(cls, pairs: CellPairs) -> "SparseCounts":
        """Count the next cells of some pairs."""
        return cls(counts=sp.csc_array(count_ranks(pairs)))

    def parts_at(
        self,
        ranks: Int[ndarray, " position"],
        genes: Int[ndarray, " position"],
        width: float,
        gene_ids: Int[ndarray, " gene"],
    ) -> Float[ndarray, "position 3"]:
        """What the smoothed frequencies, those over all ranks and the uniform give some genes."""
        kernel = _kernel(self.counts.shape[0], width)
        of_rank, of_gene = (np.asarray(self.counts.sum(axis=axis)).ravel() for axis in (1, 0))
        totals, overall = kernel @ of_rank, of_gene / of_gene.sum()
        smoothed = np.empty(len(ranks))
        size = max(1, _AT_ONCE // len(kernel))
        for first in range(0, len(ranks), size):
            some = slice(first, first + size)
            known, place = np.unique(genes[some], return_inverse=True)
            columns = self.counts[:, known].toarray().T[place]
            smoothed[some] = np.einsum("pr,pr->p", kernel[ranks[some]], columns)
        there = totals[ranks]
        smoothed = np.where(
            there > _LEAST_COUNT, smoothed / np.maximum(there, _LEAST_COUNT), overall[genes]
        )
        return np.stack([smoothed, overall[genes], np.full(len(ranks), 1 / len(gene_ids))], axis=1)


class CountedPositions(NamedTuple):
    """Positions of held-out next cells, and the counts that they are predicted from."""

    counts: SparseCounts
    ranks: Int[ndarray, " position"]
    genes: Int[ndarray, " position"]
    weights: Float[ndarray, " position"]


def tune_rank_frequency(
    folds: Sequence[CountedPositions], gene_ids: Int[ndarray, " gene"]
) -> tuple[float, tuple[float, ...]]:
    """The width, and the weights, that fit the held-out positions of all folds best.

    Args:
        folds: Positions, and counts in which their cells are not.
        gene_ids: Tokens that are genes.
    """

    def candidates() -> Iterator[tuple[float, Float[ndarray, "position 3"]]]:
        for width in WIDTHS:
            yield (
                width,
                np.concatenate(
                    [
                        fold.counts.parts_at(fold.ranks, fold.genes, width, gene_ids)
                        for fold in folds
                    ]
                ),
            )

    width, mix, _ = best_mixture(candidates(), np.concatenate([fold.weights for fold in folds]))
    return width, mix


def fit_frequencies(pairs: CellPairs, width: float, mix: tuple[float, ...]) -> RankFrequency:
    """The frequencies of some pairs, with a width and weights that were chosen before."""
    smoothed, overall, uniform = _components(count_ranks(pairs), width, pairs.gene_ids)
    table = (mix[0] * smoothed + mix[1] * overall + mix[2] * uniform).astype(np.float32)
    return RankFrequency(table=table, width=width, mix=mix)


def count_ranks(pairs: CellPairs) -> Float[ndarray, "rank vocab"]:
    """How often each gene is at each rank of a next cell, pairs weighted by their probability."""
    counts = np.zeros((pairs.max_genes, pairs.vocab_size), dtype=np.float32)
    for target in pairs.targets():
        for genes, weight in zip(target.next_cells, target.weights, strict=True):
            counts[np.arange(len(genes)), genes] += weight
    return counts


def smooth(counts: Float[ndarray, "rank vocab"], width: float) -> Float[ndarray, "rank vocab"]:
    """Frequencies at each rank, from counts at ranks around it under a Gaussian.

    Ranks that no training cell reaches, nor any near them, have the frequencies over all ranks.
    """
    smoothed: ndarray = _kernel(len(counts), width) @ counts
    totals = smoothed.sum(axis=1, keepdims=True)
    overall = counts.sum(axis=0) / counts.sum()
    reached = totals > _LEAST_COUNT
    return np.where(reached, smoothed / np.maximum(totals, _LEAST_COUNT), overall)


def _kernel(num_ranks: int, width: float) -> Float[ndarray, "rank rank"]:
    """The unnormalised Gaussian between ranks."""
    ranks = np.arange(num_ranks)
    found: ndarray = np.exp(-0.5 * ((ranks[:, None] - ranks) / width) ** 2).astype(np.float32)
    return found


def _components(
    counts: Float[ndarray, "rank vocab"], width: float, gene_ids: Int[ndarray, " gene"]
) -> tuple[
    Float[ndarray, "rank vocab"], Float[ndarray, "rank vocab"], Float[ndarray, "rank vocab"]
]:
    overall = counts.sum(axis=0) / counts.sum()
    uniform = np.zeros_like(overall)
    uniform[gene_ids] = 1 / len(gene_ids)
    return (
        smooth(counts, width),
        np.broadcast_to(overall, counts.shape),
        np.broadcast_to(uniform, counts.shape),
    )
