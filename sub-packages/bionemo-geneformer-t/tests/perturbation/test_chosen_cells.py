"""Cells are chosen by cluster, or by not being at an end; groups are donors and clusters."""

import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.perturbation.chosen_cells import chosen_rows, groups_of, numbers_of

OBS = pd.DataFrame(
    {
        "cell_type": pd.Categorical(["a", "b", "b", "c"], categories=["a", "b", "c", "unused"]),
        "donor": ["x", "x", "y", "y"],
        "terminal_state": pd.Categorical([None, None, None, "c"]),
        "pseudotime": [0.0, np.nan, 2.0, 3.0],
    }
)


def test_named_clusters_or_all_cells_before_an_end() -> None:
    assert chosen_rows(OBS, "cell_type", ["b", "c"]).tolist() == [False, True, True, True]
    assert chosen_rows(OBS, None, ()).tolist() == [True, True, True, False]
    assert chosen_rows(OBS[["donor"]], None, ()).all()


@pytest.mark.parametrize("name", ["B", "unused"])
def test_a_cluster_without_cells_is_refused_with_those_that_have_some(name) -> None:
    with pytest.raises(ValueError, match=rf"no cell has the label '{name}' .*: a, b, c$"):
        chosen_rows(OBS, "cell_type", ["a", name])


def test_clusters_need_their_column_and_cells_must_be_left() -> None:
    with pytest.raises(ValueError, match="without cluster_key"):
        chosen_rows(OBS, None, ["a"])
    with pytest.raises(KeyError, match="no column 'typ'"):
        chosen_rows(OBS, "typ", ["a"])
    with pytest.raises(ValueError, match="all 1 cells are in a terminal state"):
        chosen_rows(OBS.iloc[3:], None, ())


def test_groups_are_combinations_of_donor_and_cluster() -> None:
    found = groups_of(OBS, "cell_type", "donor")
    named = [(found.donors[g], found.clusters[g]) for g in found.of_cell]
    assert named == [("x", "a"), ("x", "b"), ("y", "b"), ("y", "c")]
    assert groups_of(OBS, None, None).of_cell.tolist() == [0, 0, 0, 0]


def test_times_are_numbers() -> None:
    np.testing.assert_array_equal(
        numbers_of(OBS, "pseudotime", "pseudotime_key"), OBS["pseudotime"]
    )
    with pytest.raises(TypeError, match="must hold numbers; got"):
        numbers_of(OBS, "donor", "pseudotime_key")
    with pytest.raises(ValueError, match="no cell has a number"):
        numbers_of(OBS.iloc[1:2], "pseudotime", "pseudotime_key")
