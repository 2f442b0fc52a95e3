"""`gft.tl.rollout` writes what it says, survives a file, and refuses what cannot be walked."""

import logging

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from two_forks import two_forks

import bionemo.geneformer_t as gft


@pytest.fixture
def cells() -> anndata.AnnData:
    adata = two_forks()
    day = {"stem": "D0", "up": "D10"}
    adata.obs["day"] = [day.get(name, "D20") for name in adata.obs["cluster"]]
    return adata


def shares(table: pd.DataFrame, source: str, step: int) -> pd.Series:
    rows = table[(table["source"] == source) & (table["step"] == step)]
    return rows[rows["measure"] == "cluster"].set_index("cluster")["share"]


def test_walks_come_to_each_fate_as_often_as_its_probability(cells):
    table = gft.tl.rollout(cells, "cluster", "stem", num_steps=30, num_walks=4000)
    np.testing.assert_allclose(shares(table, "exact", 30), [0, 0, 0.3, 0.3, 0.4], atol=1e-12)
    np.testing.assert_allclose(shares(table, "walks", 30), [0, 0, 0.3, 0.3, 0.4], atol=0.03)
    np.testing.assert_allclose(shares(table, "null: all cells", 30), [0.25, 0.25, 0.15, 0.15, 0.2])
    fair = shares(table, "null: any candidate", 30)
    np.testing.assert_allclose(fair, [0, 0, 0.25, 0.25, 0.5], atol=1e-12)
    assert shares(table, "null: either direction", 30)["stem"] > 0.5
    stopped = table[table["measure"] == "cannot be left"].set_index(["source", "step"])["share"]
    assert stopped["walks", 30] == 1
    assert stopped["walks", 0] == stopped["exact", 0] == 0
    # from cell i of the ten of the stem, the end of C is 17 - i steps away, those of A and B 25 - i
    assert stopped["exact", 15] == pytest.approx(0.4 * 0.8)
    assert stopped["exact", 17] == pytest.approx(0.4 + 0.6 * 0.2)
    assert "from step 25 on, all walks are in cells that cannot be left" in " ".join(
        cells.uns["rollout"]["notes"]
    )


def test_every_step_is_a_transition_and_is_stored_by_the_names_of_cells(cells):
    gft.tl.rollout(cells, "cluster", num_steps=6, num_walks=80)
    held = cells.uns["rollout"]
    assert held["walks"].shape == (80, 7)
    names = held["cells"][held["walks"]]
    assert sorted(set(names[:, 0])) == sorted(cells.obs_names)  # all cells start, twice each
    places = cells.obs_names.get_indexer(names.ravel()).reshape(names.shape)
    matrix = cells.obsp["T_geneformer_t"].toarray()
    assert (matrix[places[:, :-1], places[:, 1:]] > 0).all()


def test_what_is_written_survives_a_file(cells, tmp_path):
    given = {"start": "D0", "start_key": "day", "time_key": "day"}
    table = gft.tl.rollout(cells, "cluster", **given, key_added="mine")
    cells.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad").uns["mine"]
    pd.testing.assert_frame_equal(again["table"], table)
    assert again["times"]["time"].tolist() == ["D10", "D20"]
    assert again["params"]["start"].tolist() == ["D0"]
    assert again["params"]["num_walks"] == 1000
    np.testing.assert_array_equal(again["walks"], cells.uns["mine"]["walks"])
    np.testing.assert_array_equal(again["cells"], cells.uns["mine"]["cells"])


def test_true_time_points_are_beside_the_steps(cells):
    table = gft.tl.rollout(cells, "cluster", "stem", num_steps=30, time_key="day")
    true = table[table["source"] == "time point"]
    assert true["step"].isna().all()
    last = true[true["time"] == "D20"].set_index("cluster")["share"]
    np.testing.assert_allclose(last, [0, 0, 0.3, 0.3, 0.4])
    times = cells.uns["rollout"]["times"].set_index("time")
    assert times.loc["D20", "cells"] == 20
    assert times.loc["D20", "nearest_step"] == 20
    assert times.loc["D20", "total_variation"] < 1e-12
    assert times.loc["D20", "total_variation_all_cells"] == pytest.approx(0.5)


def test_the_same_seed_gives_the_same_and_matrices_may_be_dense_or_of_other_keys(cells):
    one = gft.tl.rollout(cells, "cluster", "stem", seed=4)
    cells.obsp["mine"] = cells.obsp["T_geneformer_t"].toarray().astype(np.float32)
    other = gft.tl.rollout(cells, "cluster", ["stem"], seed=4, transitions_key="mine")
    pd.testing.assert_frame_equal(one, other)
    third = gft.tl.rollout(cells, "cluster", "stem", seed=5)
    assert not one["share"].equals(third["share"])


def test_cells_without_transitions_stay_and_what_was_met_is_said(cells, caplog):
    matrix = cells.obsp["T_geneformer_t"].tolil()
    matrix[5] = 0
    cells.obsp["T_geneformer_t"] = matrix.tocsr()
    cells.obs["cluster"] = cells.obs["cluster"].astype(object).where(cells.obs["cluster"] != "C")
    with caplog.at_level(logging.INFO):
        table = gft.tl.rollout(cells, "cluster", "stem", num_walks=4, num_steps=40)
    text = caplog.text
    assert "1 cells without any transition: taken to stay as they are" in text
    assert "8 cells have no label in obs['cluster']: they are the cluster 'no cluster'" in text
    assert "walks start from 4 of 10 starting cells" in text
    assert "intervals are of 4 starting cells" in text
    np.testing.assert_allclose(  # of ten cells of the stem, the first six end in the sixth
        shares(table, "exact", 40)[["stem", "no cluster"]], [0.6, 0.4 * 0.4], atol=1e-12
    )


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"transitions_key": "T"}, KeyError, r"obsp has no 'T'; it has: T_geneformer_t.*tl\.trans"),
        ({"start": "stalk"}, KeyError, r"start: obs\['cluster'\] has no 'stalk'; it has: stem, up"),
        ({"start": []}, ValueError, "start names no label, so there are no starting cells"),
        ({"start_key": "day"}, ValueError, "start_key='day' needs start"),
        ({"start": "D0", "start_key": "week"}, KeyError, "start_key: obs has no column 'week'"),
        ({"num_steps": 0}, ValueError, "num_steps must be at least 1; got 0"),
        ({"num_walks": 0}, ValueError, "num_walks must be at least 1; got 0"),
        ({"num_walks": 1.5}, TypeError, "num_walks must be a whole number; got 1.5"),
        ({"seed": -1}, ValueError, "seed must not be negative"),
        ({"time_key": "week"}, KeyError, "time_key: obs has no column 'week'"),
        ({"time_key": "cluster"}, ValueError, "expected times such as"),
        ({"key_added": "a/b"}, ValueError, "key_added must be a name without a slash"),
    ],
)
def test_what_is_refused(given, kind, message, cells, without_type_checks):
    with pytest.raises(kind, match=message):
        gft.tl.rollout(cells, "cluster", **given)
    assert "rollout" not in cells.uns


def test_a_column_of_clusters_must_be_there(cells):
    with pytest.raises(KeyError, match="cluster_key: obs has no column 'type'; it has: cluster"):
        gft.tl.rollout(cells, "type")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m * 0.5, "is no transition matrix: the rows of 40 of 40 cells sum to 0.5"),
        (lambda m: m * np.nan, "holds 1600 NaN or infinite values|NaN or infinite values"),
        (lambda m: m - 2 * np.eye(40), "negative values, in the rows of cell0"),
        (lambda m: m * 0, "holds no transition at all"),
    ],
)
def test_a_matrix_of_no_probabilities_is_refused(change, message, cells):
    cells.obsp["T_geneformer_t"] = sp.csr_matrix(change(cells.obsp["T_geneformer_t"].toarray()))
    with pytest.raises(ValueError, match=message):
        gft.tl.rollout(cells, "cluster")


@pytest.mark.parametrize("shape", [(39, 39), (40, 30)])
def test_a_matrix_of_another_number_of_cells_is_refused(shape, cells):
    """anndata refuses it, unless it was read from a damaged file."""
    from bionemo.geneformer_t.fates.find_rollout import find_rollout
    from bionemo.geneformer_t.fates.rollout_settings import RolloutSettings

    settings = RolloutSettings(cluster_key="cluster")
    message = f"a row and a column for each of the 40 cells; got {shape[0]} x {shape[1]}"
    with pytest.raises(ValueError, match=message):
        find_rollout(np.ones(shape), cells.obs, "T", settings)
