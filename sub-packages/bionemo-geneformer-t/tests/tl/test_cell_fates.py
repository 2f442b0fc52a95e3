"""`gft.tl.fates` writes what it says, and refuses what is no chain or has no end."""

import logging

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bionemo.geneformer_t as gft

NAMES = np.array(["stem", "mid", "Alpha/1", "Beta"])
STEPS = np.array([[0.5, 0.5, 0, 0], [0.1, 0.3, 0.4, 0.2], [0, 0, 1, 0], [0, 0, 0, 1]])


def cells(back: float = 0.0, each: int = 15) -> anndata.AnnData:
    """Stem, middle and two ends, each of so many cells; every step may lead anywhere."""
    code = np.random.default_rng(0).permutation(np.repeat(np.arange(4), each))
    matrix = (STEPS * (1 - back) + back / 4)[code][:, code]
    matrix /= matrix.sum(axis=1, keepdims=True)
    obs = pd.DataFrame(
        {"type": pd.Categorical(NAMES[code]), "day": np.array(["D0", "D1", "D2", "D2"])[code]},
        index=[f"cell_{i}" for i in range(len(code))],
    )
    adata = anndata.AnnData(sp.csr_matrix((len(code), 1), dtype=np.float32), obs=obs)
    adata.obsp["T_geneformer_t"] = sp.csr_matrix(matrix)
    adata.obsp["near"] = sp.csr_matrix((matrix > 0).astype(float))
    return adata


def test_what_is_written_survives_a_file(tmp_path):
    adata = cells()
    assert gft.tl.fates(adata, ["Alpha/1", "Beta"], cluster_key="type") is None
    table = adata.obsm["fates"]
    assert list(table) == ["Alpha-1", "Beta"]
    assert table.index.equals(adata.obs_names)
    start = (adata.obs["type"].isin(["stem", "mid"])).to_numpy()
    np.testing.assert_allclose(table[start], np.tile([2 / 3, 1 / 3], (30, 1)), atol=1e-8)
    entropy = -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    np.testing.assert_allclose(adata.obs["fate_entropy"], start * entropy, atol=1e-7)
    mid, stem = (adata.obs["fate_steps"][adata.obs["type"] == name] for name in ("mid", "stem"))
    np.testing.assert_allclose(mid, (1 + 0.1 * 2) / (0.7 - 0.1), atol=1e-6)
    np.testing.assert_allclose(stem, 2 + mid.iloc[0], atol=1e-6)
    np.testing.assert_allclose(adata.obs["fate_reached"], 1)
    assert adata.obs["terminal_state"].isna().tolist() == start.tolist()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    pd.testing.assert_frame_equal(again.obsm["fates"], table)
    pd.testing.assert_frame_equal(again.obs, adata.obs)
    how = again.uns["fates"]
    assert how["names"].tolist() == ["Alpha-1", "Beta"]
    assert how["notes"].tolist() == [
        "Alpha/1 is called Alpha-1: an .h5ad holds no slash in names of columns"
    ]
    assert how["terminal_cells"].tolist() == [15, 15]
    assert how["params"]["choice"] == "clusters"
    assert how["cells_without_fate"] == 0
    assert how["largest_error"] <= 1e-8
    assert len(how["structure"]) == 2


def test_labels_of_time_points_in_their_order_survive_a_file(tmp_path):
    adata = cells()
    adata.obs["stage"] = adata.obs["day"].map({"D0": "first", "D1": "next", "D2": "end"})
    order = ["first", "next", "end"]
    gft.tl.fates(adata, cluster_key="type", time_key="stage", time_order=order)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert again.uns["fates"]["params"]["time_order"].tolist() == order
    assert set(again.obsm["fates"]) == {"Alpha-1", "Beta"}


@pytest.mark.parametrize("terminal", [None, ["Alpha/1", "Beta"]])
def test_cells_without_a_time_are_counted(terminal, caplog):
    adata = cells()
    day = adata.obs["day"].to_numpy(dtype=object)
    day[np.flatnonzero(adata.obs["type"] == "Beta")[:4]] = None
    adata.obs["day"] = day
    gft.tl.fates(adata, terminal, cluster_key="type", time_key="day")
    assert adata.uns["fates"]["terminal_cells"].tolist() == [15, 11]
    note = "4 of 60 cells have no time in obs['day'] and are not terminal"
    assert note in adata.uns["fates"]["notes"]
    assert note in caplog.messages


@pytest.mark.parametrize("back", [0.0, 0.004])
def test_the_three_choices_agree_where_the_ends_are_clear(back):
    adata = cells(back)
    table = gft.tl.compare_fates(
        adata, ["Alpha/1", "Beta"], cluster_key="type", time_key="day", horizon=20.0
    )
    assert len(table) == 9
    assert set(zip(table["choice"], table["other"], strict=True)) == {
        ("clusters", "last time"), ("clusters", "found"), ("last time", "found"),
    }  # fmt: skip
    assert (table["difference"] < 1e-7).all()
    assert (table.loc[table["fate"] == "all", "same_fate"] == 1).all()
    assert adata.uns["fates_by_choice"] is table
    copied = gft.tl.fates(adata, cluster_key="type", time_key="day", copy=True)
    assert "fates" not in adata.obsm
    assert copied.uns["fates"]["params"]["choice"] == "last time"
    gft.tl.fates(adata, cluster_key="type", horizon=20.0)
    assert adata.uns["fates"]["params"]["choice"] == "found"


def test_choices_that_differ_are_told_apart(caplog):
    adata = cells()
    adata.obs["late"] = np.where(adata.obs["type"].isin(["mid", "Beta"]), 2, 1)
    table = gft.tl.compare_fates(
        adata, {"ends": ["Alpha/1", "Beta"], "stem": "stem"}, cluster_key="type", time_key="late"
    ).set_index(["choice", "other", "fate"])
    assert table.loc[("clusters", "found", "ends"), "other_terminal_cells"] == 0
    assert np.isnan(table.loc[("clusters", "found", "ends"), "difference"])
    assert table.loc[("last time", "found", "Beta"), "difference"] > 0.1
    caplog.clear()
    message = r"1 of 2 give fates\. found: terminal states cannot be found"
    with pytest.raises(ValueError, match=message):
        gft.tl.compare_fates(adata, ["Alpha/1", "Beta"], cluster_key="type", min_cells=99)
    assert not caplog.text  # the error says it all
    adata.obs["same"] = 1
    gft.tl.compare_fates(adata, ["Alpha/1", "Beta"], cluster_key="type", time_key="same")
    assert "no fates by the choice last time: time_key: a last time point needs two" in caplog.text


def test_cells_without_a_fate_are_counted(caplog):
    adata = cells()
    adata.obs["type"] = adata.obs["type"].cat.rename_categories({"Beta": "lost"})
    with caplog.at_level(logging.WARNING):
        gft.tl.fates(adata, {"A": "Alpha/1", "S": "stem"}, cluster_key="type")
    assert "15 of 60 cells reach no terminal state (15 of lost)" in caplog.text
    assert adata.uns["fates"]["cells_without_fate"] == 15
    assert adata.obs["fate_entropy"].isna().sum() == 15


def test_cells_that_were_left_out_later_are_the_first_guess_where_rows_sum_to_less():
    adata = cells()
    with pytest.raises(ValueError, match="cells were left out after the matrix was made, make it"):
        gft.tl.fates(adata[:40].copy(), ["Alpha/1", "Beta"], cluster_key="type")


@pytest.mark.filterwarnings("error")
def test_clusters_are_numbers_or_missing_and_names_come_in_any_container(without_type_checks):
    adata = cells()
    numbers = adata.obs["type"].cat.codes.to_numpy().astype(float)
    lost = np.flatnonzero(numbers == adata.obs["type"].cat.categories.get_loc("mid"))[0]
    first, second = (adata.obs["type"].cat.categories.get_loc(n) for n in ("Alpha/1", "Beta"))
    gft.tl.fates(adata, ["Alpha/1", "Beta"], cluster_key="type")
    expected = adata.obsm["fates"].to_numpy()
    adata.obs["number"] = numbers.astype(int)
    gft.tl.fates(adata, [first, second], cluster_key="number")
    np.testing.assert_array_equal(adata.obsm["fates"], expected)
    numbers[lost] = np.nan
    adata.obs["number"] = numbers
    for kind in (pd.Series, pd.Categorical, np.array):
        ends = kind([f"{first}.0", f"{second}.0"])
        gft.tl.fates(adata, ends, cluster_key="number")
        np.testing.assert_array_equal(adata.obsm["fates"], expected)


def test_what_is_no_anndata_object_is_refused(without_type_checks):
    functions = (
        gft.tl.fates, gft.tl.compare_fates, gft.tl.drivers, gft.pl.fates, gft.pl.transitions,
        gft.pl.rollout,
        lambda given: gft.tl.rollout(given, "type"),
        gft.tl.sample_next_cells,
        lambda given: gft.tl.transitions(given, "m.ckpt"),
        lambda given: gft.tl.fates(given, copy=True),
        lambda given: gft.tl.embed(given, "m.ckpt"),
        lambda given: gft.tl.embed(given, "m.ckpt", copy=True),
        lambda given: gft.tl.predict(given, "m.ckpt"),
        lambda given: gft.tl.perturb(given, "m.ckpt"),
        gft.tl.train,
        lambda given: gft.tl.evaluate(given, "m.ckpt"),
    )  # fmt: skip
    for function in functions:
        with pytest.raises(TypeError, match=r"AnnData object; got str cells\.h5ad; anndata\.read"):
            function("cells.h5ad")
        with pytest.raises(TypeError, match=r"AnnData object; got DataFrame$"):
            function(cells().obs)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"transitions_key": "T"}, KeyError, "no 'T'; it has: T_geneformer_t, near. .*tl.trans"),
        ({"transitions_key": "near"}, ValueError, r"obsp\['near'\] is no transition matrix"),
        ({"transitions_key": "run/m.ckpt"}, TypeError, "got run/m.ckpt. For a model, gft.tl.trans"),
        ({"transitions_key": 3}, TypeError, "got int. For a model"),
        ({"terminal": object()}, TypeError, "terminal must be names.*got object. For a model"),
        ({"terminal": "run/m.ckpt"}, TypeError, "got run/m.ckpt"),
        ({"terminal": ["Beta"], "cluster_key": "type"}, ValueError, "gives one, 'Beta'"),
        ({"terminal": ["Beta", "G"], "cluster_key": "type"}, KeyError, "no cluster 'G'; it has"),
        ({"terminal": ["Beta", "mid"]}, ValueError, "cluster_key must name a column.*type, day"),
        ({"time_key": "day"}, ValueError, "give cluster_key"),
        ({"time_key": "week"}, KeyError, "no column 'week'"),
        ({"horizon": 0.0}, ValueError, "horizon must be"),
    ],
)
def test_what_is_refused(given, kind, message, without_type_checks):
    adata = cells()
    with pytest.raises(kind, match=message):
        gft.tl.fates(adata, **given)
    assert "fates" not in adata.obsm
