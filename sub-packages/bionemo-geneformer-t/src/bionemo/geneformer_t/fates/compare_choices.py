"""How much fates depend on which cells are called terminal."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from bionemo.geneformer_t.fates.fate_probabilities import Fates

ALL = "all"
"""In place of a fate: the fates together."""
COLUMNS = (
    "choice", "other", "fate", "cells", "terminal_cells", "other_terminal_cells", "correlation",
    "difference", "same_fate",
)  # fmt: skip


def compare_choices(found: Mapping[str, Fates]) -> pd.DataFrame:
    """Fates of the same cells for several choices of terminal states, each pair compared.

    Compared are cells that have fates in both and are terminal in neither.

    Args:
        found: Name of a choice -> its fates.

    Returns:
        A row for each pair of choices and fate of either, and one with the fate `all`. `cells`
        compared; cells of the state in both; Pearson's `correlation` and mean absolute
        `difference` of the probabilities, NaN for fates of one choice alone; `same_fate` of the
        row `all` is the fraction of cells whose most probable fate is the same, whatever its
        probability.
    """
    rows = []
    for (first, one), (second, other) in combinations(found.items(), 2):
        compared = np.isfinite(one.steps) & np.isfinite(other.steps)
        compared &= ~one.states.is_terminal & ~other.states.is_terminal
        shared = [name for name in one.names if name in other.names]
        for name in dict.fromkeys((*one.names, *other.names)):
            pair = [_column(fates, name)[compared] for fates in (one, other)]
            rows.append(
                (first, second, name, int(compared.sum()), _size(one, name), _size(other, name),
                 _correlation(*pair), float(np.abs(pair[0] - pair[1]).mean()) if len(pair[0])
                 else np.nan, np.nan)
            )  # fmt: skip
        best = [
            np.array(fates.names, dtype=object)[
                np.nan_to_num(fates.probabilities[compared]).argmax(axis=1)
            ]
            for fates in (one, other)
        ]
        differences = [row[7] for row in rows[-len({*one.names, *other.names}) :]]
        rows.append(
            (first, second, ALL, int(compared.sum()), int(one.states.sizes.sum()),
             int(other.states.sizes.sum()), np.nan,
             float(np.nanmean(differences)) if shared and compared.any() else np.nan,
             float((best[0] == best[1]).mean()) if compared.any() else np.nan)
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _column(fates: Fates, name: str) -> np.ndarray:
    if name not in fates.names:
        return np.full(len(fates.steps), np.nan)
    return fates.probabilities[:, fates.names.index(name)]


def _size(fates: Fates, name: str) -> int:
    return int(fates.states.sizes[fates.names.index(name)]) if name in fates.names else 0


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if len(one) < 2 or not (one.std() > 0 and other.std() > 0):  # False for NaN too
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
