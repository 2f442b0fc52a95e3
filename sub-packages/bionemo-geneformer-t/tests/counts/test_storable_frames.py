"""Columns of every type become ones that a file holds, with the same values or their text."""

import anndata
import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.counts.storable_frames import storable_frame

INDEX = ["x", "y", "z"]


def stored(column, path) -> pd.Series:
    """A column after it was written and read."""
    frame = pd.DataFrame({"c": column}, index=INDEX)
    cells = anndata.AnnData(np.ones((3, 1)), obs=storable_frame(frame))
    cells.write_h5ad(path / "cells.h5ad")
    return anndata.read_h5ad(path / "cells.h5ad").obs["c"]


DAYS = pd.to_datetime(["2020-01-03", None, "2020-01-01"])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([3, 1, 2], dtype=np.int8), [3, 1, 2]),
        (np.array([0.5, np.nan, 2]), [0.5, None, 2]),
        (np.array([True, False, True]), [True, False, True]),
        (pd.array([3, None, 2], dtype="Int16"), [3, None, 2]),
        (pd.array([0.5, None, 2], dtype="Float64"), [0.5, None, 2]),
        (pd.array([True, None, False], dtype="boolean"), [True, None, False]),
        (pd.array([3, None, 2], dtype="int64[pyarrow]"), [3, None, 2]),
        (pd.array([0.5, None, 2], dtype="double[pyarrow]"), [0.5, None, 2]),
        (pd.array([True, None, False], dtype="bool[pyarrow]"), [True, None, False]),
        (pd.array(["a", None, "b"], dtype="string"), ["a", None, "b"]),
        (pd.array(["a", None, "b"], dtype="string[pyarrow]"), ["a", None, "b"]),
        (np.array(["a", None, "b"], dtype=object), ["a", None, "b"]),
        (np.array([1, None, "b"], dtype=object), ["1", None, "b"]),
        (DAYS, ["2020-01-03 00:00:00", None, "2020-01-01 00:00:00"]),
        (pd.cut([0.5, 1.5, np.nan], [0, 1, 2]), ["(0, 1]", "(1, 2]", None]),
        (pd.Categorical([1, "1", None], categories=["1", 1]), ["1", "1", None]),
        (pd.Categorical(DAYS), ["2020-01-03 00:00:00", None, "2020-01-01 00:00:00"]),
        ([[1], [2, 3], [4]], ["[1]", "[2, 3]", "[4]"]),
    ],
)  # fmt: skip
def test_values_are_kept(column, expected, tmp_path) -> None:
    found = stored(column, tmp_path).astype(object)
    assert found.where(found.notna(), None).tolist() == expected


@pytest.mark.parametrize("names", [[20, 3], [True, False], ["late", "early", "unused"], [0.5, 1.5]])
def test_categories_that_a_file_holds_stay_as_they_are(names, tmp_path) -> None:
    given = pd.Categorical([names[1], names[0], None], categories=names, ordered=True)
    found = stored(given, tmp_path)
    assert found.dtype == given.dtype
    assert found.tolist()[:2] == [names[1], names[0]]


def test_categories_of_intervals_keep_their_order(tmp_path) -> None:
    found = stored(pd.cut([15.0, 5.0, 25.0], [0, 10, 20, 30]), tmp_path)
    assert found.cat.ordered
    assert found.cat.categories.tolist() == ["(0, 10]", "(10, 20]", "(20, 30]"]


def test_names_of_columns_become_text_and_the_index_has_none(tmp_path) -> None:
    frame = pd.DataFrame({5: [1, 2, 3], "id": ["a", "b", "c"]}, index=pd.Index(INDEX, name="id"))
    cells = anndata.AnnData(np.ones((3, 1)), obs=storable_frame(frame))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    found = anndata.read_h5ad(tmp_path / "cells.h5ad").obs
    assert found["5"].tolist() == [1, 2, 3]
    assert found["id"].tolist() == ["a", "b", "c"]
    assert found.index.tolist() == INDEX
    assert frame.index.name == "id"
