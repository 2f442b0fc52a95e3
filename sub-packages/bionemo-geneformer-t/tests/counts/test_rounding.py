"""Expected counts are refused by name, or rounded where that is asked for; nothing else is."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy import ndarray

from bionemo.geneformer_t.counts.checks import ExpectedCountsError, NotCountsError, check_counts
from bionemo.geneformer_t.counts.in_memory import anndata_source
from bionemo.geneformer_t.counts.rounding import Rounding

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(2.0, size=(30, 20)).astype(np.float64)
EXPECTED = np.where(RNG.random(COUNTS.shape) < 0.3, COUNTS + 0.37, COUNTS)
OTHERS = {
    "log1p": np.log1p(COUNTS),
    "log2": np.log2(1 + COUNTS),
    "log10": np.log10(1 + COUNTS),
    "sqrt": np.sqrt(COUNTS),
    "normalised": np.log1p(COUNTS / (1 + COUNTS.sum(1, keepdims=True)) * 1e4),
    "scaled": COUNTS / RNG.uniform(0.5, 2, size=(30, 1)),
}


def source(values: ndarray, **options: bool):
    obs = pd.DataFrame(index=[f"c{i}" for i in range(values.shape[0])])
    var = pd.DataFrame(index=[f"g{i}" for i in range(values.shape[1])])
    return anndata_source(anndata.AnnData(values, obs=obs, var=var), **options)


def test_expected_counts_are_called_what_they_are() -> None:
    with pytest.raises(ExpectedCountsError, match="expected counts, as estimation by EM"):
        check_counts(EXPECTED, "here")
    with pytest.raises(NotCountsError, match="round_counts=True rounds each value"):
        list(source(EXPECTED).blocks())


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_transformed_counts_are_none_and_are_not_rounded(name: str, dtype: str) -> None:
    values = OTHERS[name].astype(dtype)
    looks = "values look log-normalised"
    with pytest.raises(NotCountsError, match=looks) as refusal:
        check_counts(values, "here")
    assert not isinstance(refusal.value, ExpectedCountsError)
    with pytest.raises(NotCountsError, match="rounding is for expected counts"):
        list(source(values, round_counts=True).blocks())


def test_rounding_is_to_the_nearest_and_counted() -> None:
    values = np.array([0.2, 0.5, 1.5, 2.4, 2.6, 3.0, 4.0, 5.0])
    rounding = Rounding()
    assert rounding.apply(values, "here").tolist() == [0, 0, 2, 2, 3, 3, 4, 5]
    note = rounding.note("here")
    assert "5 of 8 values had fractions, 2 below one half became 0" in note
    assert f"changed by {19 / 19.2 - 1:+.2%}" in note


@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_every_layout_is_rounded(layout: type) -> None:
    rounded = source(layout(EXPECTED), round_counts=True)
    (block,) = rounded.blocks()
    np.testing.assert_array_equal(block.counts.toarray(), np.rint(EXPECTED))
    (again,) = rounded.blocks()
    assert again.counts.sum() == block.counts.sum()
    (note,) = rounded.notes_on_rounding
    changed = int((np.rint(EXPECTED) != EXPECTED).sum())
    assert f"{changed:,} of {np.count_nonzero(EXPECTED):,} values" in note


def test_parts_of_a_count_are_added_before_they_are_rounded() -> None:
    parts = sp.csr_matrix(([0.5, 0.5, 3, 4, 5], [0, 0, 1, 2, 3], [0, 5]), shape=(1, 4))
    (block,) = source(parts, round_counts=True).blocks()
    assert block.counts.toarray().tolist() == [[1, 3, 4, 5]]


def test_whole_counts_are_left_alone_without_a_note() -> None:
    whole = source(COUNTS, round_counts=True)
    (block,) = whole.blocks()
    np.testing.assert_array_equal(block.counts.toarray(), COUNTS)
    assert whole.notes_on_rounding == ()
