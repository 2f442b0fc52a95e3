"""Where true successors rank among candidate cells, by the scores of any ranker.

The candidates are the cells of the split, without the current cell. The rank of a true successor is
that among the cells that are none. Candidates of equal scores share the middle of their ranks, so
that a ranker without any opinion is no better than chance; which of them are the highest is drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs

Ranker = Callable[[Int[ndarray, " context"]], Float[ndarray, "context candidate"]]
"""Places of some current cells, among all that are scored -> scores of all candidates, the highest
for the most probable successor."""

HIGHEST = 10
"""Candidates that are kept of each current cell, those with the highest scores."""
_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class CandidateSearch:
    """Current cells, candidates, and the true successors among them."""

    cells: Int[ndarray, " context"]
    """Rows of the current cells, ascending."""
    candidates: Int[ndarray, " candidate"]
    """Rows of the candidates, ascending; all successors are among them."""
    current: Int[ndarray, " pair"]
    """The current cell of each pair, as a place among `cells`; never decreases."""
    following: Int[ndarray, " pair"]
    """The next cell of each pair, as a place among `candidates`."""
    time: Float[ndarray, " cell"] | None = None
    """Of all cells of the split, where only those of the next time point may be found."""

    @classmethod
    def of(cls, pairs: CellPairs, candidates: Int[ndarray, " candidate"]) -> "CandidateSearch":
        """All pairs, whose next cells are added to the candidates."""
        rows = np.union1d(candidates, pairs.following)
        return cls(
            cells=pairs.cells,
            candidates=rows,
            current=np.unique(pairs.current, return_inverse=True)[1],
            following=np.searchsorted(rows, pairs.following),
        )

    def within_next_time(self, time: Float[ndarray, " cell"]) -> "CandidateSearch":
        """The same among the cells of the time point after that of the current cell alone."""
        return replace(self, time=time)

    def may_be(self, contexts: Int[ndarray, " context"]) -> Bool[ndarray, "context candidate"]:
        """Which candidates each current cell may go to: any but itself."""
        allowed = self.candidates != self.cells[contexts, None]
        if self.time is None:
            return allowed
        points = np.unique(self.time[np.isfinite(self.time)])
        # the position after the last time point is that of no candidate
        after = np.append(points, np.nan)[
            np.searchsorted(points, self.time[self.cells[contexts]], side="right")
        ]
        return allowed & (self.time[self.candidates] == after[:, None])


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one ranker found."""

    ranks: Float[ndarray, " pair"]
    """Of each true successor, from 1, other true ones left out; NaN where it was no candidate."""
    highest: Int[ndarray, "context highest"]
    """Places of the candidates with the highest scores; -1 where there are fewer."""


def find(searches: Sequence[CandidateSearch], rankers: Sequence[Ranker]) -> list[list[Found]]:
    """Rank all candidates for every current cell, block by block of current cells.

    Args:
        searches: Of the same current cells and candidates, which are scored once for all.
        rankers: Scores; each block is asked of one after the other.

    Returns:
        For each ranker, what it found in each search.

    Raises:
        ValueError: A score is not a number.
    """
    number = len(searches[0].cells)
    results = [
        [
            Found(
                ranks=np.full(len(search.current), np.nan),
                highest=np.full((number, HIGHEST), -1),
            )
            for search in searches
        ]
        for _ in rankers
    ]
    for start in range(0, number, _AT_ONCE):
        contexts = np.arange(start, min(start + _AT_ONCE, number))
        allowed = [search.may_be(contexts) for search in searches]
        for ranker, of_ranker in zip(rankers, results, strict=True):
            scores = ranker(contexts).astype(np.float64, copy=False)
            if np.isnan(scores).any():
                raise ValueError(f"scores must be numbers; {np.isnan(scores).sum()} are not")
            for search, may, found in zip(searches, allowed, of_ranker, strict=True):
                _find_in_block(search, contexts, scores, may, found)
    return results


def _find_in_block(
    search: CandidateSearch,
    contexts: Int[ndarray, " context"],
    scores: Float[ndarray, "context candidate"],
    allowed: Bool[ndarray, "context candidate"],
    found: Found,
) -> None:
    for context, mine, may in zip(contexts.tolist(), scores, allowed, strict=True):
        places = np.flatnonzero(may)
        ties = np.random.default_rng(context).random(len(places))
        order = places[np.lexsort((ties, -mine[places]))][:HIGHEST]
        found.highest[context, : len(order)] = order
        pairs = slice(*np.searchsorted(search.current, [context, context + 1]))
        found.ranks[pairs] = _ranks(mine, places, search.following[pairs])


def _ranks(
    scores: Float[ndarray, " candidate"],
    places: Int[ndarray, " allowed"],
    wanted: Int[ndarray, " wanted"],
) -> Float[ndarray, " wanted"]:
    """The rank of each wanted candidate among the allowed ones that are not wanted.

    NaN where it is not allowed.
    """
    others = np.sort(scores[np.setdiff1d(places, wanted)])
    higher = len(others) - np.searchsorted(others, scores[wanted], side="right")
    alike = len(others) - np.searchsorted(others, scores[wanted], side="left") - higher
    found: ndarray = np.where(np.isin(wanted, places), 1 + higher + alike / 2, np.nan)
    return found
