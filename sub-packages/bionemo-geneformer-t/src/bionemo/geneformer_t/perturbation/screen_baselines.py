"""What simple methods say of the same genes: ridge regression, correlation, and driver genes.

Linear models are often as good as deep ones at telling what a perturbation does (Ahlmann-Eltze,
Huber and Anders 2025), so they are in the same table.

The ridge regression goes from the normalised ranks of a current cell's genes to the readout of its
observed next cell. Its penalty is, for each readout, that of the lowest squared error when each
cell is left out in turn. The effect of an edit is what it predicts for the edited cell minus what
it predicts for the cell.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.fates.strata import Strata, centred, stratum_ranks
from bionemo.geneformer_t.model.normalised_ranks import rank_table
from bionemo.geneformer_t.ragged import Ragged

PENALTIES = tuple(10.0**power for power in np.arange(-1, 5.5, 0.5))
MOST_CELLS = 4_000
"""Cells that a regression is fitted on, at most: its matrix is cells x cells."""
_LEAST_RANGE = 1e-12


@dataclass(frozen=True, kw_only=True)
class RidgeReadout:
    """A linear map from the ranks of a current cell to readouts of its next cell."""

    slopes: Float[ndarray, "token readout"]
    """Change of a readout where a gene goes from absent to the first rank."""
    intercept: Float[ndarray, " readout"]
    num_ranks: int
    """Ranks that count."""
    penalties: Float[ndarray, " readout"]
    num_cells: int
    """Cells that it was fitted on."""

    def predict(self, contexts: Ragged) -> Float[ndarray, "cell readout"]:
        """Readouts of the next cells of current cells, edited or not, given as genes in order."""
        table = rank_table(contexts, self.num_ranks, len(self.slopes))
        found: Float[ndarray, "cell readout"] = table @ self.slopes + self.intercept
        return found


def fit_ridge_readout(
    contexts: Ragged,
    readouts: Float[ndarray, "cell readout"],
    num_ranks: int,
    vocab_size: int,
    rng: np.random.Generator,
) -> RidgeReadout:
    """Regress readouts of observed next cells on current cells.

    Args:
        contexts: Genes of each current cell in rank order.
        readouts: Of the next cells: means over successors, or over a row of the transition matrix.
            Cells with NaN are left out.
        num_ranks: Ranks that the model reads.
        vocab_size: Tokens of the vocabulary.
        rng: Draws cells where there are more than `MOST_CELLS`.

    Raises:
        ValueError: Fewer than 10 cells have readouts.
    """
    from sklearn.linear_model import RidgeCV

    known = np.flatnonzero(np.isfinite(readouts).all(axis=1))
    if len(known) < 10:
        raise ValueError(
            f"a regression on next cells needs 10 current cells whose next cells have readouts; "
            f"{len(known)} of {len(readouts):,} have. Give cells with successors, or transitions"
        )
    if len(known) > MOST_CELLS:
        known = np.sort(rng.choice(known, MOST_CELLS, replace=False))
    table = rank_table(contexts.take(known), num_ranks, vocab_size).astype(np.float64)
    given = readouts[known].astype(np.float64)
    fitted = RidgeCV(PENALTIES, alpha_per_target=True).fit(table, given)
    return RidgeReadout(
        slopes=fitted.coef_.reshape(-1, vocab_size).T,
        intercept=np.atleast_1d(fitted.intercept_),
        num_ranks=num_ranks,
        penalties=np.broadcast_to(fitted.alpha_, given.shape[1]).astype(np.float64),
        num_cells=len(known),
    )


def rank_correlations(
    values: sp.csc_array, readouts: Float[ndarray, "cell readout"], strata: Strata
) -> Float[ndarray, "gene readout"]:
    """Correlation of the rank of each gene's value with readouts, within strata.

    It is the effect of `fates/driver_genes.py` over all donors together. NaN for genes and readouts
    that do not differ within any stratum.

    Args:
        values: Normalised ranks or rank values of the chosen cells, cells x genes, not negative.
        readouts: Of the same cells, without NaN.
        strata: Of these cells; cells are compared within them.
    """
    ranks = stratum_ranks(sp.csc_array(values[strata.order]), strata)
    own = centred(readouts[strata.order].astype(np.float64), strata)
    both = np.asarray(ranks.above_zero.T @ own, dtype=np.float64)  # the lowest ranks add 0
    norms = np.sqrt(ranks.squares.sum(axis=0))[:, None] * np.linalg.norm(own, axis=0)
    return np.divide(both, norms, out=np.full(both.shape, np.nan), where=norms > _LEAST_RANGE)
