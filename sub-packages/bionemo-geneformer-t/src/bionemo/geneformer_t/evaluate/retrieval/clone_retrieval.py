"""Where transitions lead, beside what became of clone siblings: a truth that no graph knows.

For each cell whose clone has later cells, as many later cells are chosen by the model and by what
it must beat. The model's and the graph's have the probabilities of a transition row, those of other
rankers are equal. Intervals are over clones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.evaluate.intervals import Interval, mean_interval
from bionemo.geneformer_t.evaluate.retrieval.candidate_search import CandidateSearch, Ranker
from bionemo.geneformer_t.evaluate.retrieval.clone_measures import Clones
from bionemo.geneformer_t.evaluate.units import Units

WITHIN, FATE_RIGHT, OF_FATE = "within the clone", "fate right", "probability of the fate"
MEASURES = (WITHIN, FATE_RIGHT, OF_FATE)
_CHANCE_DRAWS = 20
_AT_ONCE = 256
Weighting = Callable[[Float[ndarray, "context number"]], Float[ndarray, "context number"]]
"""Scores of the chosen cells, -inf where there are fewer -> their probabilities."""


@dataclass(frozen=True, kw_only=True)
class CloneScores:
    """How far the cells that one ranker chooses agree with clones."""

    measures: Mapping[str, Float[ndarray, " context"]]
    """Of each cell: the probability of clone siblings; 1 where the fate with the highest
    probability is that of most siblings, else 0; and the probability of that fate. The last two are
    NaN where no later sibling has a fate."""
    intervals: Mapping[str, Interval]
    """Their means, over clones."""


@dataclass(frozen=True, kw_only=True)
class CloneRetrieval:
    """The model beside others, on clones."""

    rows: Mapping[str, CloneScores]
    """Name of the ranker -> its scores; the model first."""
    gains: Mapping[str, Mapping[str, Interval]]
    """Name of another ranker -> measure -> by how much the model's is higher, paired by cell."""
    num_cells: int
    num_with_fate: int
    num_clones: int
    number: int
    """Later cells that are chosen for each cell, at most."""


def equally(scores: Float[ndarray, "context number"]) -> Float[ndarray, "context number"]:
    """The same probability for each chosen cell."""
    is_one = np.isfinite(scores)
    found: ndarray = is_one / np.maximum(is_one.sum(axis=1, keepdims=True), 1)
    return found


def by_softmax(temperature: float) -> Weighting:
    """Those of a row of transitions."""
    from scipy.special import softmax

    def weighting(scores: Float[ndarray, "context number"]) -> Float[ndarray, "context number"]:
        found = np.zeros_like(scores)
        some = np.isfinite(scores).any(axis=1)
        found[some] = softmax(scores[some] / temperature, axis=1)
        return found

    return weighting


def in_proportion(scores: Float[ndarray, "context number"]) -> Float[ndarray, "context number"]:
    """In proportion to weights of edges."""
    weights = np.where(np.isfinite(scores), scores, 0.0)
    total = weights.sum(axis=1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def clone_search(clones: Clones, search: CandidateSearch) -> CandidateSearch:
    """The candidates of a search for the cells of clones, without true successors."""
    nothing = np.zeros(0, dtype=np.int64)
    return CandidateSearch(
        cells=clones.cells, candidates=search.candidates, current=nothing, following=nothing
    )


def clone_retrieval(
    clones: Clones,
    search: CandidateSearch,
    rankers: Mapping[str, tuple[Ranker, Weighting]],
    chance: tuple[str, Ranker],
    number: int,
    rng: np.random.Generator,
) -> CloneRetrieval:
    """Choose later cells by each ranker, and compare them with clone siblings.

    Args:
        clones: The cells and their siblings, among all cells of the split.
        search: Of `clone_search`.
        rankers: Scores of candidates, -inf for those that are never chosen, and probabilities of
            chosen ones; the model first.
        chance: Name of the row and scores that are drawn in each call.
        number: Cells to choose.
        rng: Draws among equal scores.
    """
    of_each = {
        name: _measured(clones, search, ranker, weighting, number, rng)
        for name, (ranker, weighting) in rankers.items()
    }
    name, ranker = chance
    draws = [_measured(clones, search, ranker, equally, number, rng) for _ in range(_CHANCE_DRAWS)]
    of_each[name] = {what: np.mean([one[what] for one in draws], axis=0) for what in MEASURES}
    (_, mine), *others = of_each.items()
    return CloneRetrieval(
        rows={
            name: CloneScores(
                measures=found,
                intervals={what: over_clones(values, clones) for what, values in found.items()},
            )
            for name, found in of_each.items()
        },
        gains={
            name: {what: over_clones(mine[what] - found[what], clones) for what in MEASURES}
            for name, found in others
        },
        num_cells=len(clones.cells),
        num_with_fate=int((clones.fates != "").sum()),
        num_clones=len(np.unique(clones.of_cell)),
        number=number,
    )


def over_clones(values: Float[ndarray, " context"], clones: Clones) -> Interval:
    """The mean over the cells that have a value, with its interval over clones."""
    known = np.isfinite(values)
    units = Units.of_cells(np.arange(known.sum()), clones.of_cell[known])
    return mean_interval(values[known], [np.zeros(0) for _ in units.levels], units)


def _measured(
    clones: Clones,
    search: CandidateSearch,
    ranker: Ranker,
    weighting: Weighting,
    number: int,
    rng: np.random.Generator,
) -> dict[str, Float[ndarray, " context"]]:
    chosen = np.full((len(clones.cells), number), -1)
    weights = np.zeros((len(clones.cells), number))
    for start in range(0, len(clones.cells), _AT_ONCE):
        contexts = np.arange(start, min(start + _AT_ONCE, len(clones.cells)))
        scores = np.full((len(contexts), clones.later.shape[1]), -np.inf)
        scores[:, search.candidates] = ranker(contexts)
        mine = clones.only(contexts).highest(scores, number, rng)
        kept = np.take_along_axis(scores, np.maximum(mine, 0), axis=1)
        chosen[contexts] = mine
        weights[contexts] = weighting(np.where(mine >= 0, kept, -np.inf))
    return {
        WITHIN: clones.sibling_share(chosen, weights),
        FATE_RIGHT: clones.fate_is_right(chosen, weights),
        OF_FATE: clones.probability_of_fate(chosen, weights),
    }
