"""The axes in which populations are compared: principal axes of cells that are in none of them.

Axes fit the noise of their own cells: those lie further out on them than other cells of the same
kind. So no population that is judged may hold a cell that the axes were fitted on. How many axes
these cells bear is told by parallel analysis (Horn 1965): an axis counts as long as its variance is
above that of the same axis of cells whose genes are shuffled, each gene for itself.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from numpy import ndarray

MAX_FITTED = 1000
"""Cells that axes are fitted on, at most; the time grows with their square."""
NUM_SHUFFLES = 9
"""Shuffled tables: an axis of noise counts by chance in one of ten."""


def halves(
    number: int, rng: np.random.Generator
) -> tuple[Int[ndarray, " fitted"], Int[ndarray, " other"]]:
    """Split some cells in two at random: those to fit axes on, up to `MAX_FITTED`, and the others.

    A single cell is in both halves, as there is nothing to choose.
    """
    order = rng.permutation(number)
    half = max(1, number // 2)
    return np.sort(order[:half][:MAX_FITTED]), np.sort(order[half:] if number > 1 else order)


def principal_axes(table: sp.csr_matrix, rng: np.random.Generator) -> Float[ndarray, "axis vocab"]:
    """Orthonormal axes of the greatest variance, as many as the cells bear, at least one.

    Args:
        table: Profiles, cells x vocabulary.
        rng: Shuffles genes.
    """
    genes = np.flatnonzero(table.getnnz(axis=0))
    profiles = np.ascontiguousarray(table[:, genes].T.toarray(), dtype=np.float32)
    profiles -= profiles.mean(axis=1, keepdims=True)
    variances, vectors = np.linalg.eigh(profiles.T @ profiles)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    number = num_axes(profiles, variances, rng)
    lengths = np.sqrt(np.maximum(variances[:number], np.finfo(np.float32).tiny))
    axes = np.zeros((number, table.shape[1]), dtype=np.float32)
    axes[:, genes] = (profiles @ (vectors[:, :number] / lengths)).T
    return axes


def num_axes(
    profiles: Float[ndarray, "gene cell"],
    variances: Float[ndarray, " axis"],
    rng: np.random.Generator,
) -> int:
    """How many axes have more variance than those of shuffled genes, at least one.

    Args:
        profiles: Centred, one gene in each row.
        variances: Of their principal axes, from the greatest to the least.
        rng: Shuffles each gene over the cells.
    """
    of_noise = np.zeros(len(variances))
    for _ in range(NUM_SHUFFLES):
        shuffled = rng.permuted(profiles, axis=1)
        found = np.linalg.eigvalsh(shuffled.T @ shuffled)[::-1]
        of_noise = np.maximum(of_noise, found)
    is_noise = variances <= of_noise
    return max(1, int(is_noise.argmax()) if is_noise.any() else len(variances))
