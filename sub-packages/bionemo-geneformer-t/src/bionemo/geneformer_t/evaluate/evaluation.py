"""Scores of a model, its baselines, controls and bounds on one split, and paired differences."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Int

from bionemo.geneformer_t.evaluate.answer_variety import (
    AnswerVariety,
    TrueVariety,
    true_variety,
)
from bionemo.geneformer_t.evaluate.baselines.copy_current import fit_copy_current
from bionemo.geneformer_t.evaluate.baselines.copy_with_frequencies import (
    fit_copy_with_frequencies,
)
from bionemo.geneformer_t.evaluate.baselines.knn_successors import (
    KnnSuccessors,
    fit_knn_drawn,
    fit_knn_successors,
)
from bionemo.geneformer_t.evaluate.baselines.mean_change import fit_mean_change
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import fit_rank_frequency
from bionemo.geneformer_t.evaluate.baselines.ridge import fit_ridge
from bionemo.geneformer_t.evaluate.baselines.training_folds import Redraw, TrainingPairs
from bionemo.geneformer_t.evaluate.baselines.uniform import fit_uniform
from bionemo.geneformer_t.evaluate.evaluation_pairs import (
    CellPairs,
    CellPredictor,
    Predictor,
    Targets,
)
from bionemo.geneformer_t.evaluate.intervals import (
    Interval,
    advantage,
    cross_entropy_interval,
    share_intervals,
)
from bionemo.geneformer_t.evaluate.partners import Partners, excess_interval
from bionemo.geneformer_t.evaluate.predictions import Predictions
from bionemo.geneformer_t.evaluate.retrieval.retrieval import Retrieval
from bionemo.geneformer_t.evaluate.row_names import EXPORTED, MODEL, SIMILAR
from bionemo.geneformer_t.evaluate.scores.calibration import Calibration
from bionemo.geneformer_t.evaluate.scores.cell_scores import (
    NOTHING_KNOWN,
    Reference,
    WholeCellScores,
)
from bionemo.geneformer_t.evaluate.scores.population_reference import Populations
from bionemo.geneformer_t.evaluate.scores.profiles import cell_profiles
from bionemo.geneformer_t.evaluate.scores.token_scores import PositionScores, TokenSums
from bionemo.geneformer_t.evaluate.units import Units
from bionemo.geneformer_t.neighbors.quality.cell_facts import CellFacts

BASELINES: dict[str, Callable[[TrainingPairs, np.random.Generator], Predictor]] = {
    "copying the current cell": fit_copy_current,
    "the current cell mixed with gene frequencies": fit_copy_with_frequencies,
    SIMILAR: fit_knn_successors,
    "the mean change": fit_mean_change,
    "ridge regression": fit_ridge,
    "gene frequencies at each rank": fit_rank_frequency,
    "guessing among all genes": fit_uniform,
}
"""Name -> function that fits the baseline on the training split."""
DRAWN_BASELINES: dict[str, Callable[[TrainingPairs, np.random.Generator], Predictor]] = {
    "successors of similar cells, drawn anew": fit_knn_drawn,
}
"""The same for those that join where the model learned from next cells that are drawn anew."""
_FIXED_SEED = 0
"""Of everything that decides a verdict; another seed of an evaluation must not turn it."""

Retrieve = Callable[[CellPairs, CellPairs, KnnSuccessors, Units, np.random.Generator], Retrieval]
"""(pairs that are scored, training pairs, the look-up of similar cells, units, a generator) -> how
well true successors are found among all cells."""
DrawCells = Callable[
    [CellPairs, CellPairs, Int[np.ndarray, " row"], np.random.Generator],
    Int[np.ndarray, " current_cell"],
]
"""(pairs that are scored, training pairs, training cells to draw from, a generator) -> a training
cell for each current cell, as its next cell."""
Progress = Callable[[str, Iterable[Targets], int], Iterable[Targets]]
"""(what is scored, its current cells, how many) -> the same cells, shown as they pass."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of one predictor."""

    interval: Interval
    """Cross-entropy over all positions, 95 % interval over cells and donors."""
    sums: TokenSums
    """The sums of each current cell, from which the token scores are computed."""
    whole: WholeCellScores
    change: Interval
    """Correlation of the predicted with the true change, less its null; see `partners.py`."""
    direction: Interval
    """Cosine between the predicted and the true step, less its null."""
    variety: AnswerVariety
    """How much answers differ between cells."""
    right_information: Interval
    """By how many nats per position the cell's own answer is better than the average answer."""
    calibration: Calibration
    reliability: tuple[Interval, ...]
    """How often the most probable gene is there, for each bin of its probability."""

    @property
    def all(self) -> PositionScores:
        """Over every position of every next cell."""
        return self.sums.all.scores

    @property
    def changed(self) -> PositionScores:
        """Over genes that the current cell does not express; NaN where there are none."""
        return self.sums.changed.scores


@dataclass(frozen=True, kw_only=True)
class Advantage:
    """What the model gains over a baseline, paired by cell; above zero it is better."""

    all: Interval
    """Nats per position."""
    changed: Interval
    """The same on genes that the current cell does not express."""
    change: Interval
    """Correlation of the predicted with the true change, each less its null."""
    direction: Interval
    """Cosine between the predicted and the true step, each less its null."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything that was measured on one split."""

    rows: Mapping[str, Scores]
    """Name of the predictor -> its scores; the model first."""
    advantages: Mapping[str, Advantage]
    """Name of the control or baseline -> what the model gains over it."""
    exported: Mapping[str, Advantage]
    """Name of the baseline -> what the exported network gains over it, where it is scored."""
    gaps: Mapping[str, Interval]
    """Name of a bound -> by how many nats per position the model is above it."""
    populations: Populations
    """Cells drawn from the model's predictions beside other populations."""
    true_variety: TrueVariety
    """How much true next cells differ between current cells."""
    units: Units
    """What intervals are over: current and next cells, and donors where there are several."""
    linked_partners: float
    """The fraction of the partners of nulls that follow or precede their cell."""
    retrieval: Retrieval | None
    """True successors among all cells; None where it was not asked for."""

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines, without controls and bounds."""
        return [name for name in self.advantages if name in {*BASELINES, *DRAWN_BASELINES}]

    @property
    def num_cells(self) -> int:
        """Current cells that were scored."""
        return len(self.rows[MODEL].sums.all.cells)

    @property
    def num_pairs(self) -> int:
        """Pairs of a current cell and a successor."""
        return len(self.rows[MODEL].sums.all.of_pairs)

    @property
    def num_positions(self) -> int:
        """Positions of all these next cells."""
        return int(self.rows[MODEL].sums.all.of_pairs[:, 0].sum())

    @property
    def num_changed(self) -> int:
        """Positions whose gene the current cell does not express."""
        return int(self.rows[MODEL].sums.changed.of_pairs[:, 0].sum())


def evaluate(
    model: Predictor,
    pairs: CellPairs,
    training_pairs: CellPairs,
    rng: np.random.Generator,
    *,
    controls: Mapping[str, Predictor] = MappingProxyType({}),
    bounds: Mapping[str, CellPredictor] = MappingProxyType({}),
    redraw: Redraw | None = None,
    retrieve: Retrieve | None = None,
    draw_cells: DrawCells | None = None,
    facts: CellFacts = NOTHING_KNOWN,
    training_facts: CellFacts = NOTHING_KNOWN,
    progress: Progress = lambda _name, targets, _total: targets,
) -> Evaluation:
    """Score a model and every baseline on the same pairs.

    Args:
        model: What is scored.
        pairs: The split that it is scored on.
        training_pairs: The split that baselines are fitted on.
        rng: Draws cells from predictions. What verdicts rest on is the same for every seed: cells
            on which baselines are tuned, and the space of directions.
        controls: Models that the scored one must beat, such as one of random weights.
        bounds: What no model can be expected to beat, such as the simulator's own distribution.
        redraw: Draws the next cells of training pairs anew, where the model learned from such
            cells: then a look-up of drawn cells is a baseline too.
        retrieve: Finds true successors among all cells of the split.
        draw_cells: Draws real cells as next cells, for a population of its own.
        facts: Times, clusters and donors of the split's cells.
        training_facts: Times of the training cells.
        progress: Shows the progress of each predictor.

    Raises:
        ValueError: The training split is too small to tune a baseline on.
    """
    fixed = np.random.default_rng(_FIXED_SEED)
    pairs, training = pairs.cached(), TrainingPairs.of(training_pairs, fixed, redraw)
    fits = BASELINES | DRAWN_BASELINES if redraw else BASELINES
    baselines = {name: fit(training, fixed) for name, fit in fits.items()}
    look_up = baselines[SIMILAR]
    assert isinstance(look_up, KnnSuccessors)
    others = {**controls, **baselines}
    predictors: dict[str, Predictor | CellPredictor] = {MODEL: model, **others, **bounds}
    reference = Reference.of(pairs, training_pairs, fixed, facts, training_facts)
    units, rows = reference.units, {}
    for name, predictor in predictors.items():
        targets = progress(name, pairs.targets(), len(pairs.cells))
        found = Predictions.of(predictor, pairs, reference.profiles.num_ranks, rng, targets)
        rows[name] = Scores(
            interval=cross_entropy_interval(found.tokens.all, units),
            sums=found.tokens,
            whole=(whole := reference.score(found)),
            change=excess_interval(whole.excess["change"], reference.partners, units),
            direction=excess_interval(whole.excess["direction"], reference.partners, units),
            variety=found.variety,
            right_information=advantage(found.own, found.by_average, units),
            calibration=found.calibration.summed(),
            reliability=share_intervals(found.calibration.of_pairs, units),
        )
    retrieved = None
    if draw_cells is not None:
        drawn = draw_cells(pairs, training_pairs, reference.retrievable, rng.spawn(1)[0])
        cells = [training_pairs.encode(int(row)) for row in drawn]
        size = reference.profiles.num_ranks, pairs.vocab_size
        retrieved = cell_profiles(cells, *size).toarray()
    return Evaluation(
        rows=rows,
        advantages={
            name: _gains(rows[MODEL], rows[name], reference.partners, units) for name in others
        },
        exported={
            name: _gains(rows[EXPORTED], rows[name], reference.partners, units)
            for name in baselines
        }
        if EXPORTED in rows
        else {},
        gaps={name: advantage(rows[name].sums.all, rows[MODEL].sums.all, units) for name in bounds},
        populations=reference.populations.compare(rows[MODEL].whole.population, retrieved),
        true_variety=true_variety(reference.profiles, units.levels[0]),
        units=units,
        linked_partners=reference.partners.linked,
        retrieval=retrieve(pairs, training_pairs, look_up, units, fixed) if retrieve else None,
    )


def _gains(model: Scores, baseline: Scores, partners: Partners, units: Units) -> Advantage:
    mine, theirs = model.whole.excess, baseline.whole.excess
    change, direction = (
        excess_interval(mine[measure] - theirs[measure], partners, units)
        for measure in ("change", "direction")
    )
    return Advantage(
        all=advantage(model.sums.all, baseline.sums.all, units),
        changed=advantage(model.sums.changed, baseline.sums.changed, units),
        change=change,
        direction=direction,
    )
