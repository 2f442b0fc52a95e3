"""Pseudotime is read from obs as numbers, or diffuses from a root."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Cells
from bionemo.geneformer_t.neighbors.pseudotime_neighbors import (
    pseudotime_of,
    pseudotime_values,
)

ALONG = np.random.default_rng(0).permutation(60) / 60
CELLS = Cells(
    obs=pd.DataFrame(
        {"half": np.where(ALONG < 0.5, "first", "second")}, index=[f"c{i}" for i in range(60)]
    ),
    points=np.column_stack([ALONG * 10, np.zeros(60)]),
)


@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_numbers_as_text_are_read(dtype: str) -> None:
    column = pd.Series(["0.0", "1.5e-3", None, "2"], dtype=dtype)
    np.testing.assert_array_equal(pseudotime_values(column), [0, 0.0015, np.nan, 2])


def test_missing_values_in_words_are_missing() -> None:
    column = pd.Series(["1", "NA", "nan", "", "inf"])
    np.testing.assert_array_equal(pseudotime_values(column), [1, np.nan, np.nan, np.nan, np.inf])


def test_other_words_are_refused_and_shown() -> None:
    column = pd.Series(["0.1", "early", "late"], name="ptime")
    with pytest.raises(ValueError, match=r"2 of 3 cells of obs\['ptime'\].*'early', 'late'"):
        pseudotime_values(column)


def test_a_root_may_be_a_cell_a_cluster_or_a_place() -> None:
    first = f"c{ALONG.argmin()}"

    def from_root(cells: Cells, root: str) -> tuple[np.ndarray, list[str]]:
        return pseudotime_of(cells, BuilderSettings(root=root, cluster_key="half"))

    by_cell, _ = from_root(CELLS, first)
    by_cluster, notes = from_root(CELLS, "first")
    elsewhere = replace(CELLS, root_point=np.array([-1.0, 0.0]))
    by_place, _ = from_root(elsewhere, "a cell of another split")
    assert spearmanr(by_cell, ALONG).statistic > 0.98
    assert spearmanr(by_cluster, ALONG).statistic > 0.98
    np.testing.assert_array_equal(by_place, by_cell)
    start = CELLS.obs.index[by_cluster.argmin()]
    assert notes == [f"diffusion pseudotime starts at cell {start}"]


def test_a_column_and_a_root_together_are_refused() -> None:
    with pytest.raises(ValueError, match="both are given"):
        pseudotime_of(CELLS, BuilderSettings(pseudotime_key="half", root="c1"))
