"""Reciprocal rank and recall of true successors, hubs among the retrieved cells, and their time.

The rank of a successor is that among the candidates without the other true successors of the cell
("filtered", Bordes et al. 2013), so that a cell with many successors is no harder. Both measures
are then means over successors, and their intervals those of the other scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.intervals import Interval, share_intervals
from bionemo.geneformer_t.evaluate.retrieval.candidate_search import CandidateSearch, Found
from bionemo.geneformer_t.evaluate.units import Units

CUTOFF = 5
"""Candidates of which recall, hubs and time are those of the highest scores."""
RECIPROCAL_RANK, RECALL = "reciprocal rank", "recall"
PairMeasure = Float[ndarray, " pair"]
"""One number for each pair of a current cell and a true successor; NaN where it is no candidate."""


def pair_measures(found: Found) -> dict[str, PairMeasure]:
    """One over the rank of each true successor, and whether it is among the highest candidates."""
    ranks = found.ranks
    return {
        RECIPROCAL_RANK: 1 / ranks,
        RECALL: np.where(np.isnan(ranks), np.nan, ranks <= CUTOFF),
    }


def mean_over_pairs(values: PairMeasure, units: Units) -> Interval:
    """The mean over pairs that are known, by their probabilities: each current cell counts alike.

    Of a cell with successors that are no candidates, those that are count by their share.
    """
    known = np.isfinite(values)
    counted = np.column_stack([known, np.where(known, values, 0.0)])
    return share_intervals(counted[:, None], units)[0]


def gains(
    mine: Mapping[str, PairMeasure], theirs: Mapping[str, PairMeasure], units: Units
) -> dict[str, Interval]:
    """By how much each measure of one ranker is higher than that of another, paired."""
    return {name: mean_over_pairs(mine[name] - theirs[name], units) for name in mine}


@dataclass(frozen=True, kw_only=True)
class Hubs:
    """How much the retrieved cells repeat, over the highest candidates of all current cells."""

    holding_half: float
    """Candidates that hold half of all edges."""
    largest: float
    """The largest in-degree, in units of the mean over candidates."""

    @classmethod
    def of(cls, found: Found, num_candidates: int) -> "Hubs":
        """Of the candidates with the highest scores."""
        chosen = found.highest[:, :CUTOFF]
        degrees = np.sort(np.bincount(chosen[chosen >= 0], minlength=num_candidates))[::-1]
        total = degrees.sum()
        if not total:
            return cls(holding_half=np.nan, largest=np.nan)
        half = int(np.searchsorted(np.cumsum(degrees), total / 2)) + 1
        return cls(holding_half=float(half), largest=float(degrees[0] / (total / num_candidates)))


def share_later(search: CandidateSearch, found: Found, time: Float[ndarray, " cell"]) -> float:
    """The fraction of the highest candidates that are later than their current cell."""
    chosen = found.highest[:, :CUTOFF]
    theirs = np.where(chosen >= 0, time[search.candidates[chosen]], np.nan)
    mine = np.broadcast_to(time[search.cells, None], theirs.shape)
    known = np.isfinite(theirs) & np.isfinite(mine)
    return float((theirs > mine)[known].mean()) if known.any() else float("nan")
