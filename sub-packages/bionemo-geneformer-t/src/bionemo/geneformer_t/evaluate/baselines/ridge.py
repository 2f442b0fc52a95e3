"""Ridge regression from the current cell to the next one, in the space of profiles.

Linear models are often as good as deep ones (Ahlmann-Eltze, Huber and Anders 2025). The penalty for
each number of axes is that of the lowest squared error in folds of the training cells; the number
of axes is then chosen by cross-entropy in the same folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.evaluate.baselines.expected_order import (
    ExpectedOrder,
    Order,
    fit_expected_order,
)
from bionemo.geneformer_t.evaluate.baselines.mean_change import highest
from bionemo.geneformer_t.evaluate.baselines.profile_space import (
    NUMBERS_OF_AXES,
    ProfileSpace,
    numbers_of_axes,
)
from bionemo.geneformer_t.evaluate.baselines.training_folds import Fold, TrainingPairs
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.scores.profiles import mean_next_profiles

PENALTIES = tuple(10.0**power for power in range(-1, 6))


def fit_ridge(training: TrainingPairs, _rng: np.random.Generator) -> ExpectedOrder:
    """Choose penalty, axes, and in folds how exactly the result is expected; then fit on all."""
    fitted = {id(fold.fitted): Profiles.of(fold.fitted) for fold in training.folds}
    penalties = best_penalties(training.folds, [fitted[id(f.fitted)] for f in training.folds])

    def orders(pairs: CellPairs) -> dict[int, Order]:
        profiles = fitted.get(id(pairs)) or Profiles.of(pairs)
        return {
            number: profiles.regression(number, penalty).order
            for number, penalty in penalties.items()
        }

    return fit_expected_order(training, orders)


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """Pairs as points of current cells, and of the mean of each one's next cells."""

    space: ProfileSpace
    next_space: ProfileSpace
    """Next cells have genes that no current cell has, so they have a space of their own."""
    before: Float[ndarray, "cell axis"]
    after: Float[ndarray, "cell next_axis"]

    @classmethod
    def of(cls, pairs: CellPairs) -> "Profiles":
        """Both spaces are those of the pairs, with as many axes as may be tried."""
        targets, size = list(pairs.targets()), (pairs.max_genes, pairs.vocab_size)
        current, most = [target.context for target in targets], NUMBERS_OF_AXES[-1]
        space = ProfileSpace.fit(current, *size, most)
        next_space = ProfileSpace.fit(
            [genes for target in targets for genes in target.next_cells], *size, most
        )
        after = mean_next_profiles(targets, *size)
        return cls(
            space=space,
            next_space=next_space,
            before=space.points(current),
            after=np.asarray(after @ next_space.axes.T),
        )

    @property
    def most_axes(self) -> int:
        """Axes that both spaces have."""
        return min(len(self.space.axes), len(self.next_space.axes))

    def regression(self, num_axes: int, penalty: float) -> "Regression":
        """Regress on the first axes of both spaces; the intercept is not penalised."""
        before, after = (
            points[:, :num_axes].astype(np.float64) for points in (self.before, self.after)
        )
        centre, intercept = before.mean(axis=0), after.mean(axis=0)
        before = before - centre
        slopes = np.linalg.solve(
            before.T @ before + penalty * np.eye(before.shape[1]), before.T @ (after - intercept)
        )
        return Regression(
            space=self.space.only(num_axes),
            next_space=self.next_space.only(num_axes),
            slopes=slopes,
            intercept=intercept - centre @ slopes,
        )


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A linear map from the points of current cells to those of next cells."""

    space: ProfileSpace
    next_space: ProfileSpace
    slopes: Float[ndarray, "axis next_axis"]
    intercept: Float[ndarray, " next_axis"]

    def predict(self, points: Float[ndarray, "cell axis"]) -> Float[ndarray, "cell next_axis"]:
        """Points of the next cells that are expected of current cells."""
        found: ndarray = (points @ self.slopes + self.intercept).astype(np.float32)
        return found

    def order(self, context: Int[ndarray, " gene"]) -> Int[ndarray, " expected_gene"]:
        """The genes of the expected next cell, the highest first."""
        point = self.predict(self.space.points([context]))
        return highest(self.next_space.profiles(point)[0], self.space.num_ranks)


def best_penalties(folds: Sequence[Fold], fitted: Sequence[Profiles]) -> dict[int, float]:
    """The penalty of the lowest squared error over held-out cells for each number of axes.

    Args:
        folds: Of the training pairs.
        fitted: The profiles of their fitted pairs.
    """
    tried = numbers_of_axes(min(profiles.most_axes for profiles in fitted))
    errors = {(number, penalty): 0.0 for number in tried for penalty in PENALTIES}
    for fold, profiles in zip(folds, fitted, strict=True):
        targets, space = [cell.target for cell in fold.held_out], profiles.next_space
        points = profiles.space.points([target.context for target in targets])
        size = profiles.space.num_ranks, space.axes.shape[1]
        truth = np.asarray(mean_next_profiles(targets, *size) @ space.axes.T)
        for number, penalty in errors:
            expected = profiles.regression(number, penalty).predict(points[:, :number])
            # what lies beyond the first axes is missed by all penalties alike
            errors[number, penalty] += float(((expected - truth[:, :number]) ** 2).sum())
    return {number: min(PENALTIES, key=lambda penalty: errors[number, penalty]) for number in tried}
