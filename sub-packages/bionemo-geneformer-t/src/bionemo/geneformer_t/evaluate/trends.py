"""Genes along the trajectory: in current cells, in their true successors, and as predicted.

Genes are followed by their normalised rank (1 = top, 0 = absent), the values of a cell's profile.
All three curves are drawn at the place of the current cell, so that a prediction that follows the
successors shows skill, and one that follows the current cells shows none.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs, Predictor
from bionemo.geneformer_t.evaluate.intervals import mean_half_widths
from bionemo.geneformer_t.evaluate.predictions import batches
from bionemo.geneformer_t.evaluate.scores.expression_change import highest, pearson
from bionemo.geneformer_t.evaluate.scores.profiles import PairProfiles, expected_profiles
from bionemo.geneformer_t.evaluate.units import Units

STRETCHES = 10
"""Parts of the trajectory with equally many current cells; time points where these are fewer."""
_CELLS_A_STRETCH = 12
_NOISE_GENES = 2
"""Genes that may be followed although they change by noise alone, on average."""
_NUMBERS_AT_ONCE = 2**25


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Mean normalised ranks of some genes over the current cells of each stretch."""

    mean: Float[ndarray, "stretch gene"]
    half: Float[ndarray, "stretch gene"]
    """Half the width of the 95 % interval over cells, and donors where there are several; NaN where
    there is only one."""


@dataclass(frozen=True, kw_only=True)
class GeneTrends:
    """Some genes along the trajectory."""

    genes: Int[ndarray, " gene"]
    """Token ids: those that were named, then those that change most beyond sampling noise."""
    num_named: int
    num_ranks: int
    """Ranks from 1 to 0."""
    position: Float[ndarray, " stretch"]
    """Mean place of the current cells of each stretch."""
    num_cells: Int[ndarray, " stretch"]
    num_unplaced: int
    """Current cells without a place, which are left out."""
    current: Curve
    following: Curve
    """The true successors, weighted by their probabilities."""
    predicted: Curve
    agreement: Float[ndarray, " gene"]
    """Correlation over cells of the predicted with the true normalised rank in the next cell; NaN
    where one of them is constant. Not of changes: both contain the noise of the current cell."""


def gene_trends(
    predictor: Predictor,
    pairs: CellPairs,
    place: Float[ndarray, " cell"],
    named: Int[ndarray, " named_gene"],
    num_changed: int,
    donors: Shaped[ndarray, " cell"] | None = None,
) -> GeneTrends:
    """Follow named genes, and those whose mean rank changes most between cells and successors.

    Args:
        predictor: What predicts.
        pairs: Current and next cells.
        place: Place of every cell of the split on the trajectory; NaN where it is not known.
        named: Token ids of genes that are wanted.
        num_changed: How many more genes to choose.
        donors: The donor of every cell of the split, where known.

    Raises:
        ValueError: No current cell has a place.
    """
    targets = list(pairs.targets())
    profiles = PairProfiles.of(pairs, targets)
    where = place[pairs.cells]
    known = np.isfinite(where)
    if not known.any():
        raise ValueError(
            f"none of the {len(where):,} current cells has a place on the trajectory, so genes "
            "cannot be followed along it"
        )
    stretch = stretches(where[known])
    averaging = _averaging(stretch)
    change = (profiles.following - profiles.current)[known]
    changed = most_changed(averaging, change, pairs.gene_ids)
    others = changed[~np.isin(changed, named)][:num_changed]
    genes = np.concatenate([named, others]).astype(np.int64)
    # of the whole distributions, only these genes are kept
    at_once = max(1, _NUMBERS_AT_ONCE // (profiles.num_ranks * pairs.vocab_size))
    predicted = np.concatenate(
        [
            expected_profiles(predictor, [some], profiles.num_ranks)[:, genes]
            for some in batches([target.context for target in targets], at_once)
        ]
    ).astype(np.float64)
    now, later, of_next = (
        np.asarray(table.tocsc()[:, genes].todense(), dtype=np.float64)
        for table in (profiles.current, profiles.following, profiles.next_cells)
    )
    cells = Units.of_cells(pairs.cells, donors).only(known)
    units = Units.of(pairs, donors)
    of_pairs = of_next[profiles.of_pair[known[units.levels[0].current]]]
    units = units.only(known)
    return GeneTrends(
        genes=genes,
        num_named=len(named),
        num_ranks=profiles.num_ranks,
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
    """Genes by how much they change beyond sampling noise, the largest first.

    The size of a gene's change is the mean square over stretches of its mean change. What noise of
    the cells alone would reach in about two genes of all (a quantile of chi-square) is subtracted;
    genes of which nothing is left are left out.

    Args:
        averaging: Stretches x cells, rows that average.
        change: Cells x vocabulary, from the current cell to its successors.
        gene_ids: Tokens that are genes.
    """
    from scipy.stats import chi2

    changes = sp.csr_array(change)
    number = np.diff(averaging.indptr)[:, None]
    means, squares = (
        np.asarray((averaging @ some).todense())[:, gene_ids] for some in (changes, changes**2)
    )
    noise = np.maximum(squares - means**2, 0) / np.maximum(number - 1, 1)
    fraction = number[:, 0] / averaging.shape[1]
    chance = min(_NOISE_GENES / max(len(gene_ids), 1), 0.5)
    reached = chi2.isf(chance, len(fraction)) / len(fraction)
    low = fraction @ means**2 - reached * (fraction @ noise)
    moved: ndarray = gene_ids[highest(low, int((low > 0).sum()))]
    return moved


def _averaging(stretch: Int[ndarray, " cell"]) -> sp.csr_array:
    cells = np.arange(len(stretch))
    number = np.bincount(stretch)
    return sp.csr_array((1 / number[stretch], (stretch, cells)), shape=(len(number), len(cells)))


def _curve(
    averaging: sp.csr_array,
    ranks: Float[ndarray, "cell gene"],
    stretch: Int[ndarray, " cell"],
    of_pairs: Float[ndarray, "pair gene"] | None,
    units: Units,
) -> Curve:
    """Mean normalised ranks, and their intervals stretch by stretch."""
    halves = []
    for number in range(averaging.shape[0]):
        here = stretch == number
        some = None if of_pairs is None else of_pairs[here[units.levels[0].current]]
        halves.append(mean_half_widths(ranks[here], some, units.only(here)))
    return Curve(mean=averaging @ ranks, half=np.array(halves))
