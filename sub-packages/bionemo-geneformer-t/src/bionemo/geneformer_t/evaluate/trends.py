"""Genes along the trajectory: what current cells show, what their successors do, what is predicted.

A gene's height in a cell is that of the cell's profile: 1 at the first rank, falling evenly to 0 at
the last rank that is looked at and for genes that are absent. All three curves stand at the place
of the current cell, so that a prediction that follows the successors shows skill, and one that
follows the current cells shows none.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.profile_space import (
    mean_next_profiles,
    sparse_profiles,
)
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Predictor
from bionemo.geneformer_t.evaluate.intervals import mean_half_widths
from bionemo.geneformer_t.evaluate.scores.expression_change import highest, pearson
from bionemo.geneformer_t.evaluate.scores.profiles import expected_profiles, typical_length
from bionemo.geneformer_t.evaluate.scores.token_scores import batches
from bionemo.geneformer_t.evaluate.units import Units

STRETCHES = 10
"""Parts of the trajectory, each with as many current cells; time points where they are no more."""
_CELLS_A_STRETCH = 12
_NUMBERS_AT_ONCE = 2**25


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Mean heights of some genes in the current cells of each stretch."""

    mean: Float[ndarray, "stretch gene"]
    half: Float[ndarray, "stretch gene"]
    """Half the width of the 95 % interval over cells, and donors where there are several; NaN where
    there is only one."""


@dataclass(frozen=True, kw_only=True)
class GeneTrends:
    """Some genes along the trajectory."""

    genes: Int[ndarray, " gene"]
    """Token ids: those that were named, then those that change most."""
    num_named: int
    num_ranks: int
    """Ranks that heights look at."""
    position: Float[ndarray, " stretch"]
    """Mean place of the current cells of each stretch."""
    num_cells: Int[ndarray, " stretch"]
    num_unplaced: int
    """Current cells without a place, which are left out."""
    current: Curve
    following: Curve
    """The true successors, each with its share."""
    predicted: Curve
    agreement: Float[ndarray, " gene"]
    """Correlation over cells of the predicted with the true height in the next cell; NaN where one
    of them is constant. Heights, not changes: two changes share the noise of the current cell."""


def gene_trends(
    predictor: Predictor,
    pairs: CellPairs,
    place: Float[ndarray, " cell"],
    named: Int[ndarray, " named_gene"],
    num_changed: int,
    donors: Shaped[ndarray, " cell"] | None = None,
) -> GeneTrends:
    """Follow named genes, and those whose mean height changes most between cells and successors.

    Args:
        predictor: What predicts.
        pairs: Current and next cells.
        place: Place of every cell of the split on the trajectory; NaN where it is not known.
        named: Token ids of genes that are wanted.
        num_changed: How many more genes to choose.
        donors: Whose every cell of the split is, where that is known.

    Raises:
        ValueError: No current cell has a place.
    """
    targets = list(pairs.targets())
    lengths = np.array([len(genes) for target in targets for genes in target.next_cells])
    num_ranks, size = typical_length(lengths, pairs.max_genes), pairs.vocab_size
    current = sparse_profiles([target.context for target in targets], num_ranks, size)
    following = mean_next_profiles([(t.next_cells, t.weights) for t in targets], num_ranks, size)
    where = place[pairs.cells]
    known = np.isfinite(where)
    if not known.any():
        raise ValueError(
            f"none of the {len(where):,} current cells has a place on the trajectory, so genes "
            "cannot be followed along it"
        )
    stretch = stretches(where[known])
    averaging = _averaging(stretch)
    changed = most_changed(averaging, (following - current)[known], pairs.gene_ids)
    others = changed[~np.isin(changed, named)][:num_changed]
    genes = np.concatenate([named, others]).astype(np.int64)
    contexts = [target.context for target in targets]
    predicted = _expected(predictor, contexts, num_ranks, genes, pairs)
    now, later = (
        np.asarray(table.tocsc()[:, genes].todense(), dtype=np.float64)
        for table in (current, following)
    )
    cells = Units.of_cells(pairs.cells, donors).only(known)
    of_next = sparse_profiles([n for t in targets for n in t.next_cells], num_ranks, size)
    of_pairs = np.asarray(of_next.tocsc()[:, genes].todense(), dtype=np.float64)
    units = Units.of(pairs, donors)
    of_pairs, units = of_pairs[known[units.levels[0].current]], units.only(known)
    return GeneTrends(
        genes=genes,
        num_named=len(named),
        num_ranks=num_ranks,
        position=averaging @ where[known],
        num_cells=np.bincount(stretch),
        num_unplaced=int((~known).sum()),
        current=_curve(averaging, now[known], stretch, None, cells),
        following=_curve(averaging, later[known], stretch, of_pairs, units),
        predicted=_curve(averaging, predicted[known], stretch, None, cells),
        agreement=np.array([pearson(predicted[:, i], later[:, i]) for i in range(len(genes))]),
    )


def stretches(where: Float[ndarray, " cell"]) -> Int[ndarray, " cell"]:
    """The stretch of each cell: its time point where these are few, else equally many cells each.

    Stretches are numbered from 0 without a gap, in the order of the places.
    """
    points, index = np.unique(where, return_inverse=True)
    if len(points) <= STRETCHES:
        return index
    number = int(np.clip(len(where) // _CELLS_A_STRETCH, 1, STRETCHES))
    borders = np.quantile(where, np.arange(1, number) / number)
    found = np.searchsorted(borders, where, side="right")
    return np.unique(found, return_inverse=True)[1]


def most_changed(
    averaging: sp.csr_array, change: sp.csr_matrix, gene_ids: Int[ndarray, " gene"]
) -> Int[ndarray, " changed_gene"]:
    """Genes by the root mean square of their mean changes in the stretches, the largest first.

    Args:
        averaging: Stretches x cells, rows that average.
        change: Cells x vocabulary, from the current cell to its successors.
        gene_ids: Tokens that are genes.
    """
    means = np.asarray((averaging @ sp.csr_array(change)).todense())[:, gene_ids]
    share = np.diff(averaging.indptr) / averaging.shape[1]
    size = np.sqrt(share @ means**2)
    moved: ndarray = gene_ids[highest(size, int((size > 0).sum()))]
    return moved


def _averaging(stretch: Int[ndarray, " cell"]) -> sp.csr_array:
    cells = np.arange(len(stretch))
    number = np.bincount(stretch)
    return sp.csr_array((1 / number[stretch], (stretch, cells)), shape=(len(number), len(cells)))


def _curve(
    averaging: sp.csr_array,
    heights: Float[ndarray, "cell gene"],
    stretch: Int[ndarray, " cell"],
    of_pairs: Float[ndarray, "pair gene"] | None,
    units: Units,
) -> Curve:
    """Mean heights, and their intervals stretch by stretch."""
    halves = []
    for number in range(averaging.shape[0]):
        here = stretch == number
        some = None if of_pairs is None else of_pairs[here[units.levels[0].current]]
        halves.append(mean_half_widths(heights[here], some, units.only(here)))
    return Curve(mean=averaging @ heights, half=np.array(halves))


def _expected(
    predictor: Predictor,
    contexts: Iterable[Int[ndarray, " _"]],
    num_ranks: int,
    genes: Int[ndarray, " gene"],
    pairs: CellPairs,
) -> Float[ndarray, "cell gene"]:
    """Expected heights; of the whole distribution, only these genes are kept."""
    at_once = max(1, _NUMBERS_AT_ONCE // (num_ranks * pairs.vocab_size))
    rows = [
        expected_profiles(predictor, [some], num_ranks)[:, genes]
        for some in batches(contexts, at_once)
    ]
    return np.concatenate(rows).astype(np.float64)
