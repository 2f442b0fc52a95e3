"""A model beside its baselines on one split: scores, intervals and who beats whom."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bionemo.geneformer_t.evaluate.baselines.copy_current import fit_copy_current
from bionemo.geneformer_t.evaluate.baselines.knn_successors import fit_similar_cells
from bionemo.geneformer_t.evaluate.baselines.mean_change import fit_mean_change
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import TrainingPairs, fit_rank_frequency
from bionemo.geneformer_t.evaluate.baselines.ridge import fit_ridge
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
    mean_interval,
    share_intervals,
)
from bionemo.geneformer_t.evaluate.predictions import ask
from bionemo.geneformer_t.evaluate.scores.calibration import Calibration
from bionemo.geneformer_t.evaluate.scores.cell_scores import (
    NOTHING_KNOWN,
    CellFacts,
    Reference,
    WholeCellScores,
)
from bionemo.geneformer_t.evaluate.scores.population import PopulationDistance
from bionemo.geneformer_t.evaluate.scores.token_scores import PositionScores, TokenSums
from bionemo.geneformer_t.evaluate.units import Units

MODEL = "the model"
RANDOM_WEIGHTS = "a model of random weights"
SHUFFLED = "a model of shuffled successors"
SIMULATOR = "the simulator's own distribution"
BASELINES: dict[str, Callable[[TrainingPairs, np.random.Generator], Predictor]] = {
    "copying the current cell": fit_copy_current,
    "successors of similar cells": fit_similar_cells,
    "the mean change": fit_mean_change,
    "ridge regression": fit_ridge,
    "gene frequencies at each rank": fit_rank_frequency,
    "guessing among all genes": fit_uniform,
}
"""Name -> function that fits the baseline on the training split."""

Progress = Callable[[str, Iterable[Targets], int], Iterable[Targets]]
"""(what is scored, its current cells, how many) -> the same cells, shown as they pass."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How one predictor did."""

    all: PositionScores
    """Over every position of every next cell."""
    changed: PositionScores
    """Over genes that the current cell does not express; NaN where there are none."""
    interval: Interval
    """Cross-entropy over all positions, 95 % interval over cells and donors."""
    sums: TokenSums
    """The sums of each current cell, from which the token scores are computed."""
    whole: WholeCellScores
    calibration: Calibration
    reliability: tuple[Interval, ...]
    """How often the most probable gene is there, for each bin of its probability."""


@dataclass(frozen=True, kw_only=True)
class Advantage:
    """What the model gains over a baseline, paired by cell; above zero it is better."""

    all: Interval
    """Nats per position."""
    changed: Interval
    """The same on genes that the current cell does not express."""
    change: Interval
    """Correlation of the predicted with the true change."""
    direction: Interval
    """Cosine between the predicted and the true step."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything that was measured on one split."""

    rows: Mapping[str, Scores]
    """Name of the predictor -> its scores; the model first."""
    advantages: Mapping[str, Advantage]
    """Name of the control or baseline -> what the model gains over it."""
    gaps: Mapping[str, Interval]
    """Name of what cannot be beaten -> by how many nats per position the model is above it."""
    population_marks: Mapping[str, PopulationDistance]
    """What population distances are to be read against."""
    bandwidth: float
    """Of the Gaussian kernel of the MMD."""
    units: Units
    """What intervals are over: current and next cells, and donors where there are several."""
    num_cells: int
    """Current cells that were scored."""
    num_pairs: int
    """Pairs of a current cell and a successor."""
    num_positions: int
    """Positions of all these next cells."""
    num_changed: int
    """Those whose gene the current cell does not express."""


def evaluate(
    model: Predictor,
    pairs: CellPairs,
    training_pairs: CellPairs,
    generator: np.random.Generator,
    *,
    controls: Mapping[str, Predictor] = MappingProxyType({}),
    bounds: Mapping[str, CellPredictor] = MappingProxyType({}),
    facts: CellFacts = NOTHING_KNOWN,
    training_facts: CellFacts = NOTHING_KNOWN,
    progress: Progress = lambda _name, targets, _total: targets,
) -> Evaluation:
    """Score a model and every baseline on the same pairs.

    Args:
        model: What is judged.
        pairs: The split that it is judged on.
        training_pairs: The split that baselines are fitted on.
        generator: Chooses what is held out for tuning, and the cells drawn from predictions.
        controls: Models that the judged one must beat, such as one of random weights.
        bounds: What no model can be expected to beat, such as the simulator's own distribution.
        facts: Times, clusters and donors of the split's cells.
        training_facts: Times of the training cells.
        progress: Shows how far each predictor is.

    Raises:
        ValueError: The training split is too small to tune a baseline on.
    """
    pairs, training = pairs.remembered(), TrainingPairs.of(training_pairs, generator)
    baselines = {name: fit(training, generator) for name, fit in BASELINES.items()}
    others = {**controls, **baselines}
    predictors: dict[str, Predictor | CellPredictor] = {MODEL: model, **others, **bounds}
    reference = Reference.of(pairs, training_pairs, generator, facts, training_facts)
    units, rows = reference.units, {}
    _skip_former_draws(units, generator)
    for name, predictor in predictors.items():
        targets = progress(name, pairs.targets(), len(pairs.cells))
        answers = ask(predictor, pairs, reference.num_ranks, generator, targets)
        rows[name] = Scores(
            all=answers.tokens.all.scores,
            changed=answers.tokens.changed.scores,
            interval=cross_entropy_interval(answers.tokens.all, units),
            sums=answers.tokens,
            whole=reference.score(answers, generator),
            calibration=answers.calibration.summed(),
            reliability=share_intervals(answers.calibration.of_pairs, units),
        )
    num_positions, num_changed = count_positions(pairs)
    return Evaluation(
        rows=rows,
        advantages={name: _gains(rows[MODEL], rows[name], units) for name in others},
        gaps={name: advantage(rows[name].sums.all, rows[MODEL].sums.all, units) for name in bounds},
        population_marks=reference.population_marks(generator),
        bandwidth=reference.bandwidth,
        units=units,
        num_cells=len(pairs.cells),
        num_pairs=pairs.num_pairs,
        num_positions=num_positions,
        num_changed=num_changed,
    )


def _skip_former_draws(units: Units, generator: np.random.Generator) -> None:
    """Take 2,000 draws that nobody reads, so that population distances keep their last digit.

    Cells are drawn from predictions with the same generator, after these.
    """
    number = units.levels[-1].num_units_of_current
    generator.multinomial(number, np.full(number, 1 / number), size=2000)


def _gains(model: Scores, baseline: Scores, units: Units) -> Advantage:
    mine, theirs = model.whole, baseline.whole
    both = list(zip(mine.without, theirs.without, strict=True))
    return Advantage(
        all=advantage(model.sums.all, baseline.sums.all, units),
        changed=advantage(model.sums.changed, baseline.sums.changed, units),
        # a prediction that changes nothing has no correlation with what changes
        change=mean_interval(
            _zero_for_none(mine.cells.delta_pearson) - _zero_for_none(theirs.cells.delta_pearson),
            [_zero_for_none(one.change) - _zero_for_none(other.change) for one, other in both],
            units,
        ),
        direction=mean_interval(
            _zero_for_none(mine.direction.cosine) - _zero_for_none(theirs.direction.cosine),
            [
                _zero_for_none(one.direction) - _zero_for_none(other.direction)
                for one, other in both
            ],
            units,
        ),
    )


def _zero_for_none(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), 0.0, values)


def count_positions(pairs: CellPairs) -> tuple[int, int]:
    """Positions of all next cells, and those whose gene the current cell does not express."""
    positions, changed = 0, 0
    for target in pairs.targets():
        for genes in target.next_cells:
            positions += len(genes)
            changed += int((~np.isin(genes, target.expressed)).sum())
    return positions, changed
