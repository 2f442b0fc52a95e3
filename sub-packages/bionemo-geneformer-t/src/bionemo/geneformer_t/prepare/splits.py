"""Training, validation and test cells, drawn before anything is computed from them."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.data.folder import TEST, TRAIN, VAL


def split_by_cell(
    num_cells: int,
    fractions: Mapping[str, float],
    rng: np.random.Generator,
    groups: Shaped[ndarray, " cell"] | None = None,
) -> Shaped[ndarray, " cell"]:
    """Draw a split for every cell.

    Args:
        num_cells: Cells to divide.
        fractions: Each split's name and its fraction of the cells; they sum to 1.
        rng: Which cells go where.
        groups: A label for each cell, its time point for example. Each group is divided in the
            same fractions, and each split holds at least one cell of every group that has as many
            cells as there are splits.

    Returns:
        The name of each cell's split.

    Raises:
        ValueError: The fractions are negative or do not sum to 1, or a split stays without a cell.
    """
    check_fractions(fractions)
    wanted = {name: share for name, share in fractions.items() if share > 0}
    names, shares = np.array(list(wanted)), np.array(list(wanted.values()))
    labels = np.zeros(num_cells, dtype=np.int64) if groups is None else groups
    split = np.empty(num_cells, dtype=names.dtype)
    for group in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == group))
        split[members] = np.repeat(names, _sizes(len(members), shares))
    empty = [name for name in wanted if not (split == name).any()]
    if empty:
        raise ValueError(
            f"{num_cells} cells are too few for the splits {', '.join(wanted)}: no cell is left "
            f"for {', '.join(empty)}; set that fraction to 0, or add cells"
        )
    return split


def split_fractions(val_fraction: float, test_fraction: float) -> dict[str, float]:
    """The fractions of train, val and test.

    Raises:
        ValueError: They leave nothing to train on.
    """
    fractions = {
        TRAIN: 1 - val_fraction - test_fraction,
        VAL: val_fraction,
        TEST: test_fraction,
    }
    check_fractions(fractions)
    if fractions[TRAIN] <= 1e-9:
        raise ValueError(
            "val_fraction and test_fraction must leave cells to train on; got "
            f"{val_fraction} + {test_fraction}"
        )
    return fractions


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Refuse fractions that are negative or do not sum to 1.

    Raises:
        ValueError: With the fractions.
    """
    total = sum(fractions.values())
    if any(fraction < 0 for fraction in fractions.values()) or not np.isclose(total, 1):
        raise ValueError(
            f"the fractions of the splits must be 0 or more and sum to 1; got {dict(fractions)}"
        )


def _sizes(total: int, fractions: ndarray) -> Int[ndarray, " split"]:
    """Whole numbers near `total * fractions`: the largest remainders take what rounding leaves."""
    exact = total * fractions
    sizes = np.floor(exact).astype(np.int64)
    # stable and on rounded values: floating-point noise must not decide who gets the cell
    by_remainder = np.argsort(-np.round(exact - sizes, 9), kind="stable")
    sizes[by_remainder[: total - sizes.sum()]] += 1
    if total >= len(fractions):
        while (sizes == 0).any():
            sizes[sizes.argmin()] += 1
            sizes[sizes.argmax()] -= 1
    return sizes
