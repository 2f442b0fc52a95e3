"""Direction scores: whether the prediction moves in the direction of the true step.

All in one fixed space, where the true successors of a cell are their weighted mean.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from numpy import ndarray

NEAREST = 10
"""Training cells over whose times the time of a prediction is the mean."""


@dataclass(frozen=True, kw_only=True)
class DirectionScores:
    """One number for each current cell; NaN where undefined."""

    closer: Float[ndarray, " cell"]
    """1 where the prediction is closer to the true successors than the current cell is, else 0."""
    cosine: Float[ndarray, " cell"]
    """Cosine between the predicted and the true step."""
    time_sign: Float[ndarray, " cell"]
    """1 where the predicted step goes the same way in time as the true one, else 0; all NaN
    without a time."""
    boundary_cosine: Float[ndarray, " cell"]
    """The cosine for cells with successors in another cluster: cross-boundary correctness (after
    Qiao and Huang 2021), NaN for the others and without clusters."""


def direction_scores(
    predicted: Float[ndarray, "cell axis"],
    current: Float[ndarray, "cell axis"],
    following: Float[ndarray, "cell axis"],
    *,
    time_step: Float[ndarray, " cell"] | None = None,
    predicted_time_step: Float[ndarray, " cell"] | None = None,
    crosses: Shaped[ndarray, " cell"] | None = None,
) -> DirectionScores:
    """Score steps cell by cell.

    Args:
        predicted: Points of the predictions for each current cell.
        current: Points of the cells themselves.
        following: Mean points of their true successors.
        time_step: How much later the true successors are.
        predicted_time_step: How much later the prediction is (see `time_of`).
        crosses: Whether successors are in another cluster.
    """
    step, truth = predicted - current, following - current
    cosine = cosines(step, truth)
    nothing = np.full(len(current), np.nan)
    return DirectionScores(
        closer=(
            np.linalg.norm(predicted - following, axis=1) < np.linalg.norm(truth, axis=1)
        ).astype(np.float64),
        cosine=cosine,
        time_sign=nothing
        if time_step is None or predicted_time_step is None
        else same_sign(predicted_time_step, time_step),
        boundary_cosine=nothing if crosses is None else np.where(crosses, cosine, np.nan),
    )


def time_of(
    points: Float[ndarray, "point axis"],
    reference: Float[ndarray, "cell axis"],
    times: Float[ndarray, " cell"],
) -> Float[ndarray, " point"]:
    """The mean time of the nearest reference cells that have one."""
    from sklearn.neighbors import NearestNeighbors

    known = np.isfinite(times)
    search = NearestNeighbors(n_neighbors=min(NEAREST, int(known.sum()))).fit(reference[known])
    found: ndarray = times[known][search.kneighbors(points, return_distance=False)].mean(axis=1)
    return found


def cosines(
    one: Float[ndarray, "row axis"], other: Float[ndarray, "row axis"]
) -> Float[ndarray, " row"]:
    """Cosines between rows; NaN where one of the two does not move."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    dots = (one * other).sum(axis=1)
    return np.divide(dots, lengths, out=np.full(len(one), np.nan), where=lengths > 0)


def same_sign(
    step: Float[ndarray, " cell"], truth: Float[ndarray, " cell"]
) -> Float[ndarray, " cell"]:
    """1 where both go the same way, 0 where not, NaN where the true one does not move."""
    agrees = (np.sign(step) == np.sign(truth)).astype(np.float64)
    return np.where(np.isfinite(truth) & (truth != 0), agrees, np.nan)
