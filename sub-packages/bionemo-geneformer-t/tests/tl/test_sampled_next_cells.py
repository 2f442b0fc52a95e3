"""Drawn cells are real ones, by the transitions' probabilities, with all that is known of them."""

import logging

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from two_forks import first_cell, two_forks

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.transitions import transitions

COLUMNS = ["current_cell", "next_cell", "probability", "draw"]


@pytest.fixture
def cells() -> anndata.AnnData:
    return two_forks()


def test_drawn_cells_are_whole_ones(cells):
    found = gft.tl.sample_next_cells(cells, 3)
    rows = cells.obs_names.get_indexer(found.obs["next_cell"])
    assert (cells.X[rows] != found.X).nnz == 0
    assert found.X.sum() > 0
    np.testing.assert_array_equal(found.obsm["X_umap"], cells.obsm["X_umap"][rows])
    np.testing.assert_array_equal(found.obsm["fates"], cells.obsm["fates"].iloc[rows])
    pd.testing.assert_frame_equal(found.var, cells.var)
    assert found.obs["cluster"].tolist() == cells.obs["cluster"].iloc[rows].tolist()
    current = cells.obs_names.get_indexer(found.obs["current_cell"])
    np.testing.assert_array_equal(current, np.repeat(np.arange(40), 3))
    expected = cells.obsp["T_geneformer_t"].toarray()[current, rows]
    np.testing.assert_array_equal(found.obs["probability"], expected)
    assert (expected > 0).all()
    assert found.obs_names.is_unique
    assert found.obs_names[:4].tolist() == ["cell0-0", "cell0-1", "cell0-2", "cell1-0"]


def test_draws_are_in_proportion_to_the_probabilities_and_come_of_the_seed(cells):
    found = gft.tl.sample_next_cells(cells, 4000, seed=1)
    at_fork = found.obs[found.obs["current_cell"] == f"cell{first_cell('stem') + 9}"]
    np.testing.assert_allclose((at_fork["cluster"] == "up").mean(), 0.6, atol=0.03)
    few = gft.tl.sample_next_cells(cells, 2, seed=1)
    first = found.obs[found.obs["draw"] < 2]
    pd.testing.assert_frame_equal(few.obs, first)
    other = gft.tl.sample_next_cells(cells, 4000, seed=2)
    assert (other.obs["next_cell"] != found.obs["next_cell"]).any()


def test_what_is_made_survives_a_file_and_says_what_it_is(cells, tmp_path):
    found = gft.tl.sample_next_cells(cells, 2)
    found.write_h5ad(tmp_path / "next.h5ad")
    again = anndata.read_h5ad(tmp_path / "next.h5ad")
    assert again.obs[COLUMNS].astype(str).equals(found.obs[COLUMNS].astype(str))
    how = again.uns["next_cells"]
    assert how["unit"] == "raw counts of the drawn cells"
    assert how["params"]["num_cells"] == 2
    assert how["params"]["layer"] == "X"
    assert how["notes"].tolist() == [
        "3 of 40 cells only go to themselves, as at the last time point: what is drawn for them is "
        "the same cell"
    ]


def test_counts_are_those_of_the_layer_or_of_raw(cells):
    counts = cells.X.copy()
    cells.raw = cells
    cells.layers["counts"] = counts * 2
    cells.X = cells.X * 0.37
    with pytest.raises(ValueError, match="raw counts"):
        gft.tl.sample_next_cells(cells)
    rows = None
    for given, factor in (({"layer": "counts"}, 2), ({"use_raw": True}, 1)):
        found = gft.tl.sample_next_cells(cells, **given)
        rows = cells.obs_names.get_indexer(found.obs["next_cell"])
        np.testing.assert_array_equal(found.X.toarray(), factor * counts[rows].toarray())
        assert found.var_names.tolist() == [*"wxyz"]


def test_cells_of_an_atlas_are_drawn_and_cells_without_candidates_are_not_drawn_for(cells, caplog):
    atlas = two_forks()[:7].copy()
    atlas.obs_names = [f"atlas{i}" for i in range(7)]
    matrix = np.zeros((40, 7))
    matrix[:30, 2] = 0.25
    matrix[:30, 6] = 0.75
    with caplog.at_level(logging.WARNING):
        found = gft.tl.sample_next_cells(
            cells, 50, candidates=atlas, transitions=sp.csr_matrix(matrix)
        )
    assert set(found.obs["next_cell"]) == {"atlas2", "atlas6"}
    assert set(found.obs["current_cell"]) == {f"cell{i}" for i in range(30)}
    np.testing.assert_allclose((found.obs["next_cell"] == "atlas6").mean(), 0.75, atol=0.05)
    assert "10 of 40 cells have no transition, and no next cell is drawn for them" in caplog.text
    assert found.uns["next_cells"]["params"]["candidates"] == "7 other cells"
    backed = gft.tl.sample_next_cells(cells, 50, candidates=atlas, transitions=matrix)
    assert (backed.X != found.X).nnz == 0


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"num_cells": 0}, ValueError, "num_cells must be at least 1; got 0"),
        ({"transitions": "T"}, KeyError, "obsp has no 'T'; it has: T_geneformer_t"),
        ({"transitions": np.ones((40, 39))}, ValueError, "a column for each of the 40 candidates"),
        ({"transitions": np.ones((40, 40))}, ValueError, "is no transition matrix.*sum to 40"),
        ({"transitions": np.full((40, 40), np.nan)}, ValueError, "NaN or infinite values"),
        ({"transitions": np.zeros((40, 40))}, ValueError, "holds no transition at all"),
        ({"candidates": two_forks()}, ValueError, "names a matrix of adata's own cells"),
        ({"candidates": "atlas.h5ad"}, TypeError, r"got str atlas\.h5ad; anndata\.read_h5ad"),
        ({"layer": "counts"}, KeyError, "there is no layer 'counts'"),
        ({"use_raw": True}, KeyError, "the cells have no raw"),
    ],
)
def test_what_is_refused(given, kind, message, cells, without_type_checks):
    with pytest.raises(kind, match=message):
        gft.tl.sample_next_cells(cells, **given)


def test_the_command_draws_the_same_within_a_file(cells, tmp_path, capsys):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    line = ["sample", "--input", str(tmp_path / "cells.h5ad"), "--num_cells", "2"]
    assert main([*line, "--output", str(tmp_path / "next.h5ad")]) == 0
    printed = capsys.readouterr().out
    assert "80 cells are drawn" in printed
    assert "note: 3 of 40 cells only go to themselves" in printed
    found, expected = anndata.read_h5ad(tmp_path / "next.h5ad"), gft.tl.sample_next_cells(cells, 2)
    assert (found.X != expected.X).nnz == 0
    assert found.obs["next_cell"].tolist() == expected.obs["next_cell"].tolist()
    with pytest.raises(SystemExit):
        main([*line, "--output", str(tmp_path / "cells.h5ad")])
    with pytest.raises(SystemExit):
        main([*line, "--output", str(tmp_path / "next.csv")])
    assert "output must end in .h5ad" in capsys.readouterr().err


def test_the_command_draws_from_candidates_that_transitions_were_made_with(
    tiny_data_dir, untrained_checkpoint, tmp_path, capsys
):
    atlas = tiny_data_dir / "train" / "data.h5ad"
    between = transitions(
        checkpoint=untrained_checkpoint, input=tiny_data_dir / "test",
        candidates=tiny_data_dir / "train", output=tmp_path / "to_atlas.h5ad",
    )  # fmt: skip
    line = ["sample", "--input", str(between), "--output", str(tmp_path / "next.h5ad")]
    assert main([*line, "--candidates", str(atlas), "--num_cells", "3"]) == 0
    found, pool = anndata.read_h5ad(tmp_path / "next.h5ad"), anndata.read_h5ad(atlas)
    rows = pool.obs_names.get_indexer(found.obs["next_cell"])
    assert found.n_obs == 3 * 16
    assert (rows >= 0).all()
    assert (sp.csr_matrix(pool.X)[rows] != found.X).sum() == 0
    with pytest.raises(SystemExit):
        main([*line, "--candidates", str(tiny_data_dir / "val" / "data.h5ad")])
    assert "must be the 16 cells of candidates, in their order" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(line)
    assert "are transitions to other cells" in capsys.readouterr().err
