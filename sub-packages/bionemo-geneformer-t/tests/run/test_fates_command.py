"""`geneformer-t fates` writes what `gft.tl.fates` does, and keeps the rest of the file."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.transitions import transitions


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(0)
    names = np.repeat(["a", "b", "c", "d"], 10)
    weights = rng.random((40, 40)) * (np.arange(40)[:, None] < np.arange(40))
    weights[-1, 0] = 1
    adata = anndata.AnnData(
        sp.csr_matrix(rng.poisson(1.0, (40, 5)).astype(np.float32)),
        obs=pd.DataFrame(
            {"type": names, "day": np.repeat([1, 2], 20)}, index=[f"cell_{i}" for i in range(40)]
        ),
    )
    adata.obsm["X_pca"] = rng.random((40, 2))
    adata.uns["kept"] = "this"
    adata.obsp["T_geneformer_t"] = sp.csr_matrix(weights / weights.sum(axis=1, keepdims=True))
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def test_the_file_is_as_in_memory_and_all_else_is_kept(file, tmp_path, capsys):
    output = tmp_path / "out.h5ad"
    line = ["fates", "--input", str(file), "--cluster_key", "type", "--terminal", "c", "d"]
    for target in (output, file):  # and in place
        assert main([*line, "--output", str(target)]) == 0
    expected = anndata.read_h5ad(output)
    printed = capsys.readouterr().out
    assert "1 closed class, from which no path leads out: 40 cells (mostly a)" in printed
    assert "terminal states, c, d of obs['type']: c (10 cells), d (10 cells)" in printed
    assert "20 cells take" in printed
    gft.tl.fates(expected, ["c", "d"], cluster_key="type")
    for path in (output, file):
        found = anndata.read_h5ad(path)
        pd.testing.assert_frame_equal(found.obsm["fates"], expected.obsm["fates"])
        pd.testing.assert_frame_equal(found.obs, expected.obs)
        assert found.uns["kept"] == "this"
        assert found.uns["fates"]["params"] == expected.uns["fates"]["params"]
        assert "X_pca" in found.obsm
        assert (found.obsp["T_geneformer_t"] != expected.obsp["T_geneformer_t"]).nnz == 0


def test_time_points_may_be_labels_in_an_order(file, tmp_path):
    cells = anndata.read_h5ad(file)
    cells.obs["stage"] = np.where(cells.obs["day"] == 1, "young", "old")
    cells.write_h5ad(file)
    line = ["fates", "--input", str(file), "--output", str(tmp_path / "out.h5ad")]
    line += ["--cluster_key", "type", "--time_key", "stage", "--time_order", "young", "old"]
    assert main(line) == 0
    found = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert list(found.obsm["fates"]) == ["c", "d"]
    assert found.uns["fates"]["params"]["time_order"].tolist() == ["young", "old"]


def test_errors_are_one_message(file, tmp_path, capsys):
    line = ["fates", "--input", str(file), "--output", str(tmp_path / "o.h5ad")]
    for more, message in (
        (["--terminal", "c", "x", "--cluster_key", "type"], "no cluster 'x'; it has: a, b, c, d"),
        (["--transitions_key", "near"], "obsp has no 'near'; it has: T_geneformer_t"),
        (["--time_key", "day"], "give cluster_key"),
        ([], "terminal states cannot be found"),
    ):
        with pytest.raises(SystemExit):
            main([*line, *more])
        assert message in capsys.readouterr().err
    assert not (tmp_path / "o.h5ad").exists()


@pytest.mark.parametrize("command", ["fates", "drivers"])
def test_a_checkpoint_in_place_of_cells_is_told(command, untrained_checkpoint, tmp_path, capsys):
    ending = {"fates": "h5ad", "drivers": "csv"}[command]
    with pytest.raises(SystemExit):
        main(
            [
                command,
                "--input",
                str(untrained_checkpoint),
                "--output",
                str(tmp_path / f"o.{ending}"),
            ]
        )
    assert "expected an .h5ad file with cells; got" in capsys.readouterr().err


def test_transitions_to_other_cells_have_no_fates(
    tiny_data_dir, untrained_checkpoint, tmp_path, capsys
):
    between = transitions(
        checkpoint=untrained_checkpoint, input=tiny_data_dir / "test",
        candidates=tiny_data_dir / "train", output=tmp_path / "to_atlas.h5ad",
    )  # fmt: skip
    message = "are transitions to other cells"
    with pytest.raises(SystemExit):
        main(["fates", "--input", str(between), "--output", str(tmp_path / "o.h5ad")])
    said = capsys.readouterr().err
    assert message in said
    assert "without candidates" in said
    with pytest.raises(ValueError, match=message):
        gft.tl.fates(anndata.read_h5ad(between))


def test_the_index_keeps_its_name(file, tmp_path):
    cells = anndata.read_h5ad(file)
    cells.obs.index.name = "barcode"
    cells.write_h5ad(file)
    line = ["fates", "--input", str(file), "--output", str(file), "--cluster_key", "type"]
    assert main([*line, "--terminal", "c", "d"]) == 0
    found = anndata.read_h5ad(file)
    assert found.obs.index.name == "barcode"
    assert found.obs_names.tolist() == cells.obs_names.tolist()
