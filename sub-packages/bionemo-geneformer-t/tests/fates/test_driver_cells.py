"""Cells that can tell drivers: who is left out, and why nothing could be tested."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.fates.driver_cells import driver_cells

OBS = pd.DataFrame(
    {
        "cluster": list("aabbcc"),
        "day": [1, 1, 1, 2, 2, 2],
        "donor": list("xyxyxx"),
    },
    index=[f"c{i}" for i in range(6)],
)
P = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 1.0])
FATES = pd.DataFrame({"A": P, "B": 1 - P}, index=OBS.index)


def test_all_cells_and_fates_by_default() -> None:
    found = driver_cells(OBS, FATES)
    assert found.rows.tolist() == list(range(6))
    assert found.names == ("A", "B")
    assert set(found.clusters) == {"all cells"}
    assert found.donors is None
    assert found.notes == ()
    np.testing.assert_array_equal(found.fates[:, 0], P)


def test_cells_without_fate_or_at_their_end_are_left_out_and_counted() -> None:
    fates = FATES.copy()
    fates.iloc[1] = np.nan
    obs = OBS.assign(terminal_state=pd.Categorical([None] * 5 + ["A"]))
    found = driver_cells(obs, fates, "B", cluster_key="cluster")
    assert found.rows.tolist() == [0, 2, 3, 4]
    assert found.names == ("B",)
    assert found.clusters.tolist() == ["a", "b", "b", "c"]
    assert found.notes == (
        "1 of 6 cells have no fate probabilities (NaN); they are left out",
        "1 of 6 cells are in a terminal state, whose fate is itself; they are left out",
    )


def test_several_columns_make_a_cluster_of_each_combination() -> None:
    found = driver_cells(OBS, FATES, cluster_key=("cluster", "day"))
    assert found.clusters.tolist() == ["a | 1", "a | 1", "b | 1", "b | 2", "c | 2", "c | 2"]


def test_combinations_of_labels_that_hold_the_separator_stay_apart() -> None:
    obs = OBS.assign(cluster=["a", "a | b"] * 3, day=["b | c", "c", "c"] * 2)
    found = driver_cells(obs, FATES, cluster_key=("cluster", "day")).clusters
    pairs = list(zip(obs["cluster"], obs["day"], strict=True))
    assert len(set(found)) == len(set(pairs)) == 4
    for i, j in combinations(range(6), 2):
        assert (found[i] == found[j]) == (pairs[i] == pairs[j])


def test_no_cells_are_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="no cell is left to compare: there are no cells"):
        driver_cells(OBS[:0], FATES[:0])


def test_clusters_of_one_donor_are_left_out_and_counted() -> None:
    found = driver_cells(OBS, FATES, cluster_key="cluster", donor_key="donor")
    assert found.rows.tolist() == [0, 1, 2, 3]
    assert found.donors is not None
    assert found.donors.tolist() == ["x", "y", "x", "y"]
    assert found.notes == (
        "2 of 6 cells are in clusters with cells of one donor alone; they are left out",
    )


def test_donors_nested_in_clusters_are_refused() -> None:
    nested = OBS.assign(donor=OBS["cluster"].map({"a": "x", "b": "y", "c": "x"}))
    with pytest.raises(ValueError, match=r"nested in clusters: each of the 3 .*a: x; b: y; c: x"):
        driver_cells(nested, FATES, cluster_key="cluster", donor_key="donor")
    # one donor in all is nested too
    with pytest.raises(ValueError, match="nested in clusters: each of the 1 "):
        driver_cells(OBS.assign(donor="x"), FATES, donor_key="donor")


@pytest.mark.parametrize(
    ("fates", "error", "message"),
    [
        (FATES.to_numpy(), TypeError, "must be a DataFrame"),
        (FATES[["A"]], ValueError, "one only, 'A'"),
        (FATES * 2, ValueError, "between 0 and 1; got values from 0 to 2"),
        (FATES.assign(note="x"), ValueError, "must hold numbers.* in the columns 'note'"),
        (FATES.assign(A=1j), ValueError, "must hold numbers.* in the columns 'A'"),
        (FATES * np.nan, ValueError, "no cell is left to compare: 6 of 6 cells have no fate"),
    ],
)
def test_other_fates_are_refused(fates: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        driver_cells(OBS, fates)


def test_a_fate_that_is_named_twice_is_tested_once_and_its_name_is_text() -> None:
    assert driver_cells(OBS, FATES, ["B", "B", "A"]).names == ("B", "A")
    assert driver_cells(OBS, FATES.set_axis([0, 1], axis=1)).names == ("0", "1")
    with pytest.raises(ValueError, match="a name of its own; several are called 'A'"):
        driver_cells(OBS, FATES.set_axis(["A", "A"], axis=1))


def test_unknown_names_are_refused_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="no fate 'C'; the fates are: A, B"):
        driver_cells(OBS, FATES, ["A", "C"])
    with pytest.raises(KeyError, match="cluster_key: obs has no column 'nothing'"):
        driver_cells(OBS, FATES, cluster_key="nothing")
    with pytest.raises(KeyError, match="donor_key: obs has no column 'nothing'"):
        driver_cells(OBS, FATES, donor_key="nothing")
    with pytest.raises(ValueError, match="donor_key: 1 of 6 cells have no label"):
        driver_cells(OBS.assign(donor=[None, *"yxyxx"]), FATES, donor_key="donor")
