"""Fates of the cells of the map: those that a table has under the same names."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.report.fate_section import FateResults


@dataclass(frozen=True, kw_only=True)
class MatchedFates:
    """Fates in the order of the cells of the map; NaN for cells that have none."""

    names: Sequence[str]
    probabilities: Float[ndarray, "cell fate"]
    entropy: Float[ndarray, " cell"]
    """Nats."""
    transitions: sp.csr_array | None
    """Cells x cells; None unless the fates are of exactly these cells."""

    @property
    def num_known(self) -> int:
        """Cells with fates."""
        return int(np.isfinite(self.entropy).sum())


def matched_fates(found: FateResults, cells: Sequence[str]) -> MatchedFates:
    """Look each cell up by its name; a name that two cells of the table have stands for neither.

    Args:
        found: Fates of some cells.
        cells: Names of the cells of the map.
    """
    index = pd.Index(found.fates.index.astype(str))
    unique = np.flatnonzero(~index.duplicated(keep=False))
    place = index[unique].get_indexer(pd.Index(cells))
    rows = np.where(place >= 0, unique[place] if len(unique) else -1, -1)
    drawn = found.drawn()
    probabilities = drawn.to_numpy(dtype=np.float64)[rows]
    entropy = found.entropy[rows]
    probabilities[rows < 0], entropy[rows < 0] = np.nan, np.nan
    is_same = len(cells) == len(index) and bool((rows >= 0).all())
    transitions = found.transitions if is_same else None
    if transitions is not None:
        transitions = sp.csr_array(transitions[rows][:, rows])
    return MatchedFates(
        names=[str(name) for name in drawn.columns],
        probabilities=probabilities,
        entropy=entropy,
        transitions=transitions,
    )
