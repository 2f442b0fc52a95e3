"""Successor retrieval of a model beside baselines, controls, the graph itself and chance.

The candidates are all cells of the split that express a known gene. Where cells have time points,
it is repeated among the cells of the next time point, so that knowing the time is no advantage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.knn_successors import KnnSuccessors
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.retrieval.candidate_search import (
    CandidateSearch,
    Found,
    Ranker,
    find,
)
from bionemo.geneformer_t.evaluate.retrieval.clone_measures import Clones
from bionemo.geneformer_t.evaluate.retrieval.clone_retrieval import (
    CloneRetrieval,
    by_softmax,
    clone_retrieval,
    clone_search,
    equally,
    in_proportion,
)
from bionemo.geneformer_t.evaluate.retrieval.model_rankers import (
    by_models,
    encoded,
    scorers_of,
)
from bionemo.geneformer_t.evaluate.retrieval.rankers import (
    DISPLACED,
    NEAREST,
    OF_LOOK_UP,
    TEACHER,
    TRANSPORT,
    CoupledRanker,
    GraphRanker,
    PointRankers,
    coupling,
    random_ranker,
)
from bionemo.geneformer_t.evaluate.retrieval.retrieval_measures import (
    RECIPROCAL_RANK,
    Hubs,
    PairMeasure,
    gains,
    mean_over_pairs,
    pair_measures,
    share_later,
)
from bionemo.geneformer_t.evaluate.units import Units
from bionemo.geneformer_t.fates.candidate_scores import (
    CandidateScorer,
    fitted_choice,
)
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.model.next_cell_model import NextCellModel
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts

CHANCE = "chance"
GRAPH = "the graph itself"
SIMPLE = (NEAREST, OF_LOOK_UP, DISPLACED)
"""What a model must beat."""
_CHANCE_DRAWS = 20
_LEAST_CELLS = 5
"""Cells of a time point on average; times of fewer are a pseudotime and no time points."""


@dataclass(frozen=True, kw_only=True)
class RetrievalScores:
    """How well one ranker finds true successors."""

    measures: Mapping[str, PairMeasure]
    """`RECIPROCAL_RANK` and `RECALL` of each true successor."""
    intervals: Mapping[str, Interval]
    """Their means."""
    hubs: Hubs
    later: float
    """The fraction of the highest candidates that are later; NaN where times are not known."""


@dataclass(frozen=True, kw_only=True)
class ClusterRetrieval:
    """The model and the nearest cells in one cluster of current cells."""

    cluster: str
    cells: int
    model: Interval
    """Its mean reciprocal rank."""
    gain: Interval
    """By how much it is above that of the nearest cells."""


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """True successors among all candidates, and among those of the next time point."""

    rows: Mapping[str, RetrievalScores]
    """Name of the ranker -> its scores; the model first."""
    gains: Mapping[str, Mapping[str, Interval]]
    """Name of another ranker -> measure -> by how much the model's is higher, paired by cell."""
    next_time: Mapping[str, RetrievalScores]
    """The same rows among the cells of the next time point; empty without time points."""
    next_time_gains: Mapping[str, Mapping[str, Interval]]
    clusters: tuple[ClusterRetrieval, ...]
    num_contexts: int
    num_candidates: int
    clones: CloneRetrieval | None = None
    """Beside clone siblings, where clones are known."""
    notes: tuple[str, ...] = ()
    """What was left out and why, in sentences."""


@dataclass(frozen=True, kw_only=True)
class RetrievalInput:
    """The models and cells of a retrieval."""

    model: NextCellModel
    shuffled: NextCellModel | None
    """Trained on shuffled successors, as a control."""
    filled: Int[ndarray, " cell"]
    """Rows of the split's cells that express a known gene."""
    graph: NeighborGraph
    """Of the true successors."""
    facts: CellFacts
    """Of the split's cells."""
    clones: Clones | None = None
    """Of the split's cells, where they are known."""


def successor_retrieval(
    given: RetrievalInput,
    pairs: CellPairs,
    training: CellPairs,
    look_up: KnnSuccessors,
    units: Units,
    rng: np.random.Generator,
) -> Retrieval:
    """Rank all candidates for every current cell, by the model and by what it must beat.

    Args:
        given: Models, candidates and what is known about them.
        pairs: The current cells that are scored, with their true successors.
        training: Of which reference contexts are drawn.
        look_up: The baseline of similar cells, fitted on the training cells.
        units: Of `pairs`.
        rng: Draws references and random scores.
    """
    pairs = pairs.cached()
    search = CandidateSearch.of(pairs, given.filled)
    scorers = scorers_of(given.model, given.shuffled, search, pairs, training, rng)
    by_points = PointRankers(look_up, search, pairs)
    rankers: dict[str, Ranker] = {
        **by_models(scorers, encoded(pairs, search.cells)),
        **by_points.all(),
    }
    time, searches, masses, notes = given.facts.time, [search], None, []
    if time is not None and _are_time_points(time):
        searches.append(search.within_next_time(time))
        masses, note = coupling(by_points.candidate_points, time[search.candidates])
        notes.append(note)
        if masses is not None:
            rankers[TRANSPORT] = CoupledRanker(masses, search)
    rankers[TEACHER] = GraphRanker(given.graph, search)
    rows, *within = _scored(rankers, searches, units, time, rng)
    next_time = within[0] if within else {}
    clusters = given.facts.labels("cluster")
    return Retrieval(
        rows=rows,
        gains=_gains(rows, units),
        next_time=next_time,
        next_time_gains=_gains(next_time, units),
        clusters=() if clusters is None else _by_cluster(rows, units, clusters[search.cells]),
        num_contexts=len(search.cells),
        num_candidates=len(search.candidates),
        clones=None
        if given.clones is None
        else _on_clones(given, given.clones, search, scorers, masses, pairs, look_up, rng),
        notes=tuple(notes),
    )


def _on_clones(
    given: RetrievalInput,
    clones: Clones,
    search: CandidateSearch,
    scorers: Mapping[str, CandidateScorer],
    masses: sp.csr_array | None,
    pairs: CellPairs,
    look_up: KnnSuccessors,
    rng: np.random.Generator,
) -> CloneRetrieval:
    """The same rankers where the truth is clones."""
    is_scored = np.isin(clones.cells, search.candidates)  # others express no known gene
    clones = clones.only(np.flatnonzero(is_scored))
    search, choice = clone_search(clones, search), fitted_choice(given.model)
    models = by_models(scorers, encoded(pairs, clones.cells))
    rankers = {
        name: (
            ranker,
            by_softmax(fitted_choice(scorers[name].model).temperature)
            if name in scorers
            else equally,
        )
        for name, ranker in models.items()
    }
    rankers |= {
        name: (ranker, equally)
        for name, ranker in PointRankers(look_up, search, pairs).all().items()
    }
    if masses is not None:
        rankers[TRANSPORT] = (_along(CoupledRanker(masses, search)), in_proportion)
    rankers[GRAPH] = (_along(GraphRanker(given.graph, search)), in_proportion)
    chance = CHANCE, random_ranker(search, rng)
    return clone_retrieval(clones, search, rankers, chance, choice.num_successors, rng)


def _along(edges: Ranker) -> Ranker:
    """Weights of edges alone: other cells are never chosen."""

    def along(contexts: Int[ndarray, " context"]) -> Float[ndarray, "context candidate"]:
        weights = edges(contexts)
        return np.where(weights > 0, weights, -np.inf)

    return along


def _scored(
    rankers: Mapping[str, Ranker],
    searches: Sequence[CandidateSearch],
    units: Units,
    time: Float[ndarray, " cell"] | None,
    rng: np.random.Generator,
) -> list[dict[str, RetrievalScores]]:
    """The rows of each search."""
    found = {
        name: [one] for name, one in zip(rankers, find(searches, [*rankers.values()]), strict=True)
    }
    found[CHANCE] = find(searches, [random_ranker(searches[0], rng)] * _CHANCE_DRAWS)
    return [
        {
            name: _scores_of([one[number] for one in each], search, units, time)
            for name, each in found.items()
        }
        for number, search in enumerate(searches)
    ]


def _scores_of(
    each: Sequence[Found],
    search: CandidateSearch,
    units: Units,
    time: Float[ndarray, " cell"] | None,
) -> RetrievalScores:
    """Means over what several rankers found."""
    of_each = [pair_measures(one) for one in each]
    measures = {name: np.mean([found[name] for found in of_each], axis=0) for name in of_each[0]}
    hubs = [Hubs.of(one, len(search.candidates)) for one in each]
    later = [np.nan if time is None else share_later(search, one, time) for one in each]
    return RetrievalScores(
        measures=measures,
        intervals={name: mean_over_pairs(one, units) for name, one in measures.items()},
        hubs=Hubs(
            holding_half=float(np.mean([one.holding_half for one in hubs])),
            largest=float(np.mean([one.largest for one in hubs])),
        ),
        later=float(np.mean(later)),
    )


def _gains(rows: Mapping[str, RetrievalScores], units: Units) -> dict[str, dict[str, Interval]]:
    if not rows:
        return {}
    (_, model), *others = rows.items()
    return {name: gains(model.measures, row.measures, units) for name, row in others}


def _by_cluster(
    rows: Mapping[str, RetrievalScores], units: Units, clusters: Shaped[ndarray, " context"]
) -> tuple[ClusterRetrieval, ...]:
    (_, model), nearest = next(iter(rows.items())), rows[NEAREST]
    mine, theirs = (row.measures[RECIPROCAL_RANK] for row in (model, nearest))
    found = []
    for name in np.unique(clusters).tolist():
        which = clusters == name
        some, pairs = units.only(which), which[units.levels[0].current]
        found.append(
            ClusterRetrieval(
                cluster=name,
                cells=int(which.sum()),
                model=mean_over_pairs(mine[pairs], some),
                gain=mean_over_pairs((mine - theirs)[pairs], some),
            )
        )
    return tuple(found)


def _are_time_points(time: Float[ndarray, " cell"]) -> bool:
    known = time[np.isfinite(time)]
    number = len(np.unique(known))
    return number >= 2 and len(known) >= _LEAST_CELLS * number
