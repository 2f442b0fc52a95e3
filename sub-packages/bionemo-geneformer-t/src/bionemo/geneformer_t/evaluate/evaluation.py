"""A model beside its baselines on one split: scores, intervals and who beats whom."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bionemo.geneformer_t.evaluate.baselines.copy_current import fit_copy_current
from bionemo.geneformer_t.evaluate.baselines.mean_change import fit_mean_change
from bionemo.geneformer_t.evaluate.baselines.rank_frequency import fit_rank_frequency
from bionemo.geneformer_t.evaluate.baselines.ridge import fit_ridge
from bionemo.geneformer_t.evaluate.baselines.similar_cells import fit_similar_cells
from bionemo.geneformer_t.evaluate.baselines.uniform import fit_uniform
from bionemo.geneformer_t.evaluate.bootstrap import (
    Interval,
    advantage,
    cross_entropy_interval,
    resample,
)
from bionemo.geneformer_t.evaluate.pairs import CellPairs, Predictor, Targets
from bionemo.geneformer_t.evaluate.tokens import PositionScores, TokenSums, score_tokens

MODEL = "the model"
BASELINES: dict[str, Callable[[CellPairs, np.random.Generator], Predictor]] = {
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
class TokenScores:
    """How one predictor did."""

    all: PositionScores
    """Over every position of every next cell."""
    changed: PositionScores
    """Over genes that the current cell does not express; NaN where there are none."""
    interval: Interval
    """Cross-entropy over all positions, 95 % interval over current cells."""
    sums: TokenSums
    """The sums of each current cell, from which all the rest is computed."""


@dataclass(frozen=True, kw_only=True)
class Advantage:
    """By how many nats the model's cross-entropy is lower than a baseline's, paired by cell."""

    all: Interval
    changed: Interval


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything that was measured on one split."""

    rows: Mapping[str, TokenScores]
    """Name of the predictor -> its scores; the model first."""
    advantages: Mapping[str, Advantage]
    """Name of the baseline -> what the model gains over it."""
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
    progress: Progress = lambda _name, targets, _total: targets,
) -> Evaluation:
    """Score a model and every baseline on the same pairs.

    Args:
        model: What is judged.
        pairs: The split that it is judged on.
        training_pairs: The split that baselines are fitted on.
        generator: Chooses what is held out for tuning, and the bootstrap draws.
        progress: Shows how far each predictor is.

    Raises:
        ValueError: The training split is too small to tune a baseline on.
    """
    predictors = {MODEL: model}
    predictors |= {name: fit(training_pairs, generator) for name, fit in BASELINES.items()}
    sums = {
        name: score_tokens(predictor, pairs, progress(name, pairs.targets(), len(pairs.cells)))
        for name, predictor in predictors.items()
    }
    times = resample(len(pairs.cells), generator)
    num_positions, num_changed = count_positions(pairs)
    return Evaluation(
        rows={name: token_scores(of_one, times) for name, of_one in sums.items()},
        advantages={
            name: Advantage(
                all=advantage(sums[MODEL].all, sums[name].all, times),
                changed=advantage(sums[MODEL].changed, sums[name].changed, times),
            )
            for name in BASELINES
        },
        num_cells=len(pairs.cells),
        num_pairs=pairs.num_pairs,
        num_positions=num_positions,
        num_changed=num_changed,
    )


def token_scores(sums: TokenSums, times: np.ndarray) -> TokenScores:
    """Means and interval of one predictor, over resampled cells."""
    return TokenScores(
        all=sums.all.scores,
        changed=sums.changed.scores,
        interval=cross_entropy_interval(sums.all, times),
        sums=sums,
    )


def count_positions(pairs: CellPairs) -> tuple[int, int]:
    """Positions of all next cells, and those whose gene the current cell does not express."""
    positions, changed = 0, 0
    for target in pairs.targets():
        for genes in target.next_cells:
            positions += len(genes)
            changed += int((~np.isin(genes, target.expressed)).sum())
    return positions, changed
