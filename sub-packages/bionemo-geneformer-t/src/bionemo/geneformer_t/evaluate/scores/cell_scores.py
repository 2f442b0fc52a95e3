"""Scores of whole cells: change, groups, populations and direction, all from two profiles a cell.

`Reference` holds what does not depend on the predictor: the profiles of current and next cells, the
fixed space in which steps are compared, the populations, and the times and clusters that are known.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.profile_space import ProfileSpace
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.partners import (
    Excess,
    Measure,
    Partners,
    excess_of,
    excesses,
    links_of,
)
from bionemo.geneformer_t.evaluate.predictions import Predictions
from bionemo.geneformer_t.evaluate.scores.differential_expression import GroupScores, group_scores
from bionemo.geneformer_t.evaluate.scores.expression_change import (
    CellScores,
    cell_scores,
    known_mean,
    rank_correlation_of_changes,
)
from bionemo.geneformer_t.evaluate.scores.population_deals import Times
from bionemo.geneformer_t.evaluate.scores.population_reference import (
    PopulationDistance,
    PopulationReference,
)
from bionemo.geneformer_t.evaluate.scores.profiles import PairProfiles, cell_profiles
from bionemo.geneformer_t.evaluate.scores.step_direction import (
    DirectionScores,
    direction_scores,
    time_of,
)
from bionemo.geneformer_t.evaluate.units import Units
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts

_MAX_FITTED = 4000


NOTHING_KNOWN = CellFacts()


@dataclass(frozen=True, kw_only=True)
class WholeCellScores:
    """How one predictor did on whole cells."""

    cells: CellScores
    groups: GroupScores
    direction: DirectionScores
    population: PopulationDistance
    """Between cells drawn from the predictions and true next cells."""
    excess: dict[Measure, Excess]
    """What change and direction gain over a null that shares the current cell."""
    excess_by_rank: Float[ndarray, " _"]
    """The same of the change by rank; empty for a single cell."""
    excess_across_clusters: Float[ndarray, " _"]
    """The same of the direction, of the cells whose successors are in another cluster."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What predictions are compared with; one row for each current cell that is scored."""

    profiles: PairProfiles
    units: Units
    """What varies between splits."""
    space: ProfileSpace
    current_points: Float[ndarray, "cell axis"]
    following_points: Float[ndarray, "cell axis"]
    training_points: Float[ndarray, "training_cell axis"]
    training_times: Float[ndarray, " training_cell"] | None
    time_step: Float[ndarray, " cell"] | None
    labels: Shaped[ndarray, " cell"]
    """The cluster of each current cell; the same for all where clusters are not known."""
    crosses: Bool[ndarray, " cell"] | None
    partners: Partners
    """Other cells of the same time and cluster that neither follow nor precede the cell, for nulls
    of change and direction."""
    populations: PopulationReference
    retrievable: Int[ndarray, " other_training_cell"]
    """Rows of the training cells on which no axis of populations was fitted."""

    @classmethod
    def of(
        cls,
        pairs: CellPairs,
        training_pairs: CellPairs,
        rng: np.random.Generator,
        facts: CellFacts = NOTHING_KNOWN,
        training_facts: CellFacts = NOTHING_KNOWN,
    ) -> "Reference":
        """Everything from the scored split, and the space and times from the training split."""
        targets = list(pairs.targets())
        profiles = PairProfiles.of(pairs, targets)
        rows = _some(np.union1d(training_pairs.current, training_pairs.following), rng)
        training = [training_pairs.encode(int(row))[: profiles.num_ranks] for row in rows]
        space = ProfileSpace.fit(training, profiles.num_ranks, pairs.vocab_size)
        units = Units.of(pairs, facts.labels("batch"))
        times, clusters = facts.time, facts.labels("cluster")
        training_times = None if training_facts.time is None else training_facts.time[rows]
        time_step = None if times is None else _mean_step(pairs, times)
        next_rows = np.unique(pairs.following)
        next_cells = [pairs.encode(int(row)) for row in next_rows]
        populations = PopulationReference.of(
            profiles.current,
            cell_profiles(next_cells, profiles.num_ranks, pairs.vocab_size),
            cell_profiles(training, profiles.num_ranks, pairs.vocab_size),
            units,
            rng,
            None
            if times is None or time_step is None or training_times is None
            else Times(
                following=times[next_rows],
                training=training_times,
                step=known_mean(np.abs(time_step)),
            ),
        )
        return cls(
            profiles=profiles,
            units=units,
            space=space,
            current_points=profiles.dense[0] @ space.axes.T,
            following_points=np.asarray(profiles.following @ space.axes.T),
            training_points=space.points(training),
            training_times=training_times,
            time_step=time_step,
            labels=np.full(len(targets), "all") if clusters is None else clusters[pairs.cells],
            crosses=None if clusters is None else _crosses(pairs, clusters),
            partners=Partners.of(
                len(targets),
                rng.spawn(1)[0],
                None if times is None else times[pairs.cells],
                None if clusters is None else clusters[pairs.cells],
                links_of(pairs),
            ),
            populations=populations,
            retrievable=rows[populations.others],
        )

    def score(self, predictions: Predictions) -> WholeCellScores:
        """Compare expected next cells, and cells drawn from the predictions, with the truth."""
        expected, (current, following) = predictions.expected, self.profiles.dense
        points = expected @ self.space.axes.T
        excess = excesses(expected, self.space.axes, self.profiles, self.units, self.partners)
        has_time = self.training_times is not None and self.time_step is not None
        return WholeCellScores(
            cells=cell_scores(expected, current, following),
            groups=group_scores(expected, current, following, self.labels),
            direction=direction_scores(
                points,
                self.current_points,
                self.following_points,
                time_step=self.time_step,
                predicted_time_step=self._time_step(points) if has_time else None,
                crosses=self.crosses,
            ),
            population=self.populations.distance(predictions.drawn),
            excess=excess,
            excess_by_rank=np.concatenate(
                [
                    excess_of(rank_correlation_of_changes, (expected, current, following), partner)
                    for partner in self.partners.of_cell[:1]
                ]
                or [np.zeros(0)]
            ),
            excess_across_clusters=np.zeros(0)
            if self.crosses is None
            else excess["direction"].of_cells[:, self.crosses].ravel(),
        )

    def _time_step(self, points: Float[ndarray, "cell axis"]) -> Float[ndarray, " cell"]:
        assert self.training_times is not None
        later, now = (
            time_of(some, self.training_points, self.training_times)
            for some in (points, self.current_points)
        )
        return later - now


def _mean_step(pairs: CellPairs, times: Float[ndarray, " cell"]) -> Float[ndarray, " current"]:
    """How much later the successors of each current cell are on average."""
    return pairs.mean_of_successors(times[pairs.following]) - times[pairs.cells]


def _crosses(pairs: CellPairs, clusters: Shaped[ndarray, " cell"]) -> Bool[ndarray, " current"]:
    """Whether a successor is more probably of another cluster than of the same."""
    return pairs.mean_of_successors(clusters[pairs.following] != clusters[pairs.current]) > 0.5


def _some(rows: ndarray, rng: np.random.Generator) -> ndarray:
    if len(rows) <= _MAX_FITTED:
        return rows
    return np.sort(rng.choice(rows, _MAX_FITTED, replace=False))
