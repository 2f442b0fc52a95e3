"""The genes that rise and fall most from each cell to its predicted next cell."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

EACH_WAY = 3
"""Genes that rise, and that fall, of each cell."""


@dataclass(frozen=True, kw_only=True)
class TopChanges:
    """Of each current cell: `EACH_WAY` genes that rise most, then as many that fall most."""

    tokens: Int[ndarray, "current_cell change"]
    change: Float[ndarray, "current_cell change"]
    """Of the normalised rank."""


def top_changes(
    now: sp.csr_array,
    expected: Float[ndarray, "current_cell vocab"],
    gene_ids: Int[ndarray, " gene"],
) -> TopChanges:
    """The largest differences between predicted next cells and current cells.

    Args:
        now: Normalised ranks in the current cells, current cells x vocabulary.
        expected: Expected normalised ranks in the predicted next cells.
        gene_ids: Tokens that are genes; where they are few, fewer changes are kept.
    """
    each = min(EACH_WAY, len(gene_ids) // 2)
    tokens = np.zeros((len(expected), 2 * each), dtype=np.int64)
    change = np.zeros((len(expected), 2 * each))
    for row, predicted in enumerate(expected):
        moved = predicted[gene_ids].astype(np.float64) - now[[row]].toarray()[0, gene_ids]
        order = np.argsort(-moved, kind="stable")
        picked = np.concatenate([order[:each], order[::-1][:each]])
        tokens[row], change[row] = gene_ids[picked], moved[picked]
    return TopChanges(tokens=tokens, change=change)
