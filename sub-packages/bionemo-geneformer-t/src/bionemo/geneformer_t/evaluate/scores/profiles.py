"""Cells and predictions in one space, so that a prediction can be placed among cells.

A gene counts 1 at the first rank and falls evenly to 0 at the last. A cell's profile is that of its
own order; a prediction's is its expectation over the predicted distribution at each rank. Profiles
are compared by the correlation of what sets them apart from the average cell.
"""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

NEAREST = 10
"""Cells whose coordinates are averaged."""


def rank_weights(num_ranks: int) -> Float[ndarray, " rank"]:
    """1 at the first rank, falling evenly towards 0 after the last."""
    return 1 - np.arange(num_ranks) / num_ranks


def typical_length(lengths: Int[ndarray, " cell"], max_genes: int) -> int:
    """The number of ranks that profiles look at: the median cell's, as far as cells are kept."""
    return max(1, min(max_genes, int(np.median(lengths))))


def cell_profiles(
    cells: Iterable[Int[ndarray, " _"]], num_ranks: int, vocab_size: int
) -> Float[ndarray, "cell vocab"]:
    """The profile of each cell, given as genes in rank order."""
    weights, rows = rank_weights(num_ranks).astype(np.float32), []
    for genes in cells:
        row = np.zeros(vocab_size, dtype=np.float32)
        kept = genes[:num_ranks]
        row[kept] = weights[: len(kept)]
        rows.append(row)
    return np.array(rows).reshape(-1, vocab_size)


def expected_profiles(
    predictor: Callable[[list[Int[ndarray, " _"]], int], Float[ndarray, "context rank vocab"]],
    batches: Iterable[list[Int[ndarray, " _"]]],
    num_ranks: int,
) -> Float[ndarray, "cell vocab"]:
    """The expected profile of the predicted next cell of each current cell."""
    weights = rank_weights(num_ranks).astype(np.float32)
    rows = [
        np.einsum("crv,r->cv", np.exp(predictor(contexts, num_ranks)), weights)
        for contexts in batches
    ]
    return np.concatenate(rows)


def place(
    profiles: Float[ndarray, "prediction vocab"],
    reference: Float[ndarray, "cell vocab"],
    coordinates: Float[ndarray, "cell axis"],
) -> Float[ndarray, "prediction axis"]:
    """Mean coordinates of the reference cells whose profiles correlate most with each prediction.

    Predictions are centred on their own mean: an expectation has less contrast than a cell, and
    the difference is the same for all.
    """
    similarity = _unit(profiles) @ _unit(reference).T
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEAREST]
    return coordinates[nearest].mean(axis=1)


def mean_cosine(arrows: Float[ndarray, "cell axis"], others: Float[ndarray, "cell axis"]) -> float:
    """How far two sets of arrows point the same way: 1 the same, 0 unrelated, -1 opposite."""
    lengths = np.linalg.norm(arrows, axis=1) * np.linalg.norm(others, axis=1)
    has_direction = lengths > 0
    if not has_direction.any():
        return float("nan")
    dots = (arrows * others).sum(axis=1)[has_direction]
    return float((dots / lengths[has_direction]).mean())


def _unit(profiles: Float[ndarray, "row vocab"]) -> Float[ndarray, "row vocab"]:
    centred = profiles - profiles.mean(axis=0)
    centred -= centred.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.maximum(length, np.finfo(np.float32).tiny)
