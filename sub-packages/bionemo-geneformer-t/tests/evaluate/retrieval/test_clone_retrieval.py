"""Clones are read from obs or obsm, and what rankers choose is compared with them by hand."""

import re
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.evaluate.retrieval.candidate_search import CandidateSearch
from bionemo.geneformer_t.evaluate.retrieval.clone_labels import of_barcodes, read_membership
from bionemo.geneformer_t.evaluate.retrieval.clone_measures import Clones
from bionemo.geneformer_t.evaluate.retrieval.clone_retrieval import (
    FATE_RIGHT,
    OF_FATE,
    WITHIN,
    CloneRetrieval,
    CloneScores,
    by_softmax,
    clone_retrieval,
    clone_search,
    equally,
    in_proportion,
    over_clones,
)
from bionemo.geneformer_t.evaluate.retrieval.clone_text import (
    clone_sentence,
    clone_table,
    clone_values,
)
from bionemo.geneformer_t.evaluate.retrieval.rankers import NEAREST

MODEL, CHANCE = "the model", "chance"


@pytest.fixture
def split(tiny_data_dir: Path, tmp_path: Path):
    """A function that writes columns and tables into a copy of a split."""

    def write(**columns) -> CellStore:
        cells = anndata.read_h5ad(tiny_data_dir / "test" / "data.h5ad")
        for name, values in columns.items():
            if name.startswith("X_"):
                cells.obsm[name] = values
            else:
                cells.obs[name] = values
        (tmp_path / "test").mkdir()
        cells.write_h5ad(tmp_path / "test" / "data.h5ad")
        return CellStore.open(tmp_path / "test")

    return write


def test_barcodes_that_are_missing_are_no_clone() -> None:
    found = of_barcodes(pd.Series(["a", None, "", "b", "a", "NA", "nan", np.nan]))
    assert found.toarray().T.tolist() == [[1, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0]]
    numbers = of_barcodes(pd.Series([3.0, np.nan, 3.0, 7.0]))
    assert numbers.toarray().T.tolist() == [[1, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_a_table_of_obsm_says_the_same_as_a_column_of_obs(split, form) -> None:
    number = 16
    table = np.eye(number // 2).repeat(2, axis=0)
    store = split(clone=[f"b{i // 2}" for i in range(number)], X_clone=form(table))
    for key in ("clone", "X_clone"):
        together = read_membership(store, key)
        np.testing.assert_array_equal((together @ together.T).toarray(), table @ table.T)


def test_what_holds_no_clones_is_told(split) -> None:
    store = split(alone=[f"b{i}" for i in range(16)], nothing=[""] * 16)
    with pytest.raises(KeyError, match=r"no table of obsm called 'x'; obs has: .*alone.*obsm has"):
        read_membership(store, "x")
    with pytest.raises(ValueError, match=r"each of the 16 clones of obs\['alone'\] has one cell"):
        read_membership(store, "alone")
    with pytest.raises(ValueError, match=r"obs\['nothing'\] of .* puts no cell in a clone"):
        read_membership(store, "nothing")


def many_clones(number: int = 12) -> Clones:
    """Clones of one early cell, two later ones of its fate and one of another; and strangers."""
    clone = np.arange(number).repeat(4)
    membership = sp.csr_matrix((np.ones(len(clone)), (np.arange(len(clone)), clone)))
    time = np.tile([0.0, 1, 1, 1], number)
    states = np.array([["early", f"{c % 2}", f"{c % 2}", f"{1 - c % 2}"] for c in range(number)])
    return Clones.of(membership, time, states.ravel(), ["early"])


def test_each_row_is_what_is_counted_by_hand() -> None:
    clones = many_clones()
    everything = np.arange(48)
    search = clone_search(clones, CandidateSearch(
        cells=everything[:1], candidates=everything, current=everything[:0],
        following=everything[:0],
    ))  # fmt: skip
    np.testing.assert_array_equal(search.cells, np.arange(0, 48, 4))
    first = np.full((12, 48), -5.0)  # two siblings of the fate, then a stranger of the other fate
    for row in range(12):
        other = 4 * ((row + 1) % 12)
        first[row, 4 * row + 1], first[row, 4 * row + 2], first[row, other + 1] = 0, -1, -2
        first[row, 4 * row] = 9  # itself is not later
    edges = np.full((12, 48), -np.inf)
    for row in range(12):
        edges[row, 4 * row + 3], edges[row, 4 * ((row + 1) % 12) + 1] = 1.0, 3.0
    rankers = {
        MODEL: (lambda some: first[some], by_softmax(0.5)),
        NEAREST: (lambda some: first[some], equally),
        "the graph": (lambda some: edges[some], in_proportion),
    }
    rng = np.random.default_rng(0)
    chance = CHANCE, lambda some: rng.random((len(some), 48))
    found = clone_retrieval(clones, search, rankers, chance, 3, rng)
    odds = np.exp(np.array([0, -1, -2]) / 0.5)
    mean = {
        name: [row.intervals[what].mean for what in (WITHIN, FATE_RIGHT, OF_FATE)]
        for name, row in found.rows.items()
    }
    share = odds[:2].sum() / odds.sum()
    np.testing.assert_allclose(mean[MODEL], [share, 1, share])
    np.testing.assert_allclose(mean[NEAREST], [2 / 3, 1, 2 / 3])
    np.testing.assert_allclose(mean["the graph"], [0.25, 0, 0])  # both are of the other fate
    assert mean[CHANCE][0] == pytest.approx(3 / 36, abs=0.04)
    assert mean[CHANCE][2] == pytest.approx(0.5, abs=0.08)
    gain = found.gains[NEAREST][WITHIN]
    assert gain.mean == pytest.approx(share - 2 / 3)
    assert gain.verdict == "better"
    assert (found.num_cells, found.num_with_fate, found.num_clones) == (12, 12, 12)


def test_intervals_are_over_clones_and_not_over_cells() -> None:
    clones = many_clones()
    four = {
        name: getattr(clones, name).repeat(4, axis=0)
        for name in ("cells", "of_cell", "siblings", "later", "fates")
    }
    values = np.random.default_rng(1).random(12)
    once = over_clones(values, clones)
    repeated = over_clones(values.repeat(4), replace(clones, **four))
    assert repeated.mean == pytest.approx(once.mean)
    assert repeated.high - repeated.low >= (once.high - once.low) * 0.99


def result(**gains: Interval) -> CloneRetrieval:
    half = Interval(mean=0.5, low=0.4, high=0.6)
    measures = dict.fromkeys((WITHIN, FATE_RIGHT, OF_FATE), half)
    gain = {**dict.fromkeys(measures, Interval(mean=0.1, low=0.05, high=0.2)), **gains}
    row = CloneScores(measures={}, intervals=measures)
    return CloneRetrieval(
        rows={MODEL: row, NEAREST: row, CHANCE: row}, gains={NEAREST: gain, CHANCE: gain},
        num_cells=12, num_with_fate=10, num_clones=6, number=30,
    )  # fmt: skip


def test_the_verdict_follows_from_both_differences_to_nearest_cells() -> None:
    around, below = Interval(mean=0.0, low=-0.1, high=0.1), Interval(mean=-0.2, low=-0.3, high=-0.1)
    few = replace(around, is_enough=False)
    for gains, message in (
        ({}, r"The model tells more of what clone siblings become than similarity does \("),
        (
            {FATE_RIGHT: around},
            "The model tells no more .* does, except how much of its transition",
        ),
        ({WITHIN: around, FATE_RIGHT: around}, r"The model tells no more .* does \(how much"),
        ({FATE_RIGHT: below}, "The model tells less of what clone siblings become"),
        ({WITHIN: few}, "cannot be told: too few clones"),
    ):
        said = clone_sentence(result(**gains), NEAREST)
        assert re.search(message, said), said
    found = result()
    assert "12 cells of 6 clones" in clone_table(found, NEAREST).caption
    assert clone_values(found, NEAREST)["rows"][MODEL][WITHIN]["mean"] == 0.5
