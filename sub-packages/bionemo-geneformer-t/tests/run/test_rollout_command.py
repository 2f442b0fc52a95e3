"""`geneformer-t rollout` writes what `gft.tl.rollout` does, and keeps the rest of the file."""

import anndata
import numpy as np
import pandas as pd
import pytest
from two_forks import two_forks

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.run.cli import main


@pytest.fixture
def file(tmp_path):
    cells = two_forks()
    cells.obs["day"] = np.where(cells.obs["cluster"] == "stem", "D0", "D10")
    cells.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


LINE = ["--cluster_key", "cluster", "--start", "stem", "--time_key", "day", "--num_steps", "25"]


def test_table_walks_and_file_are_as_in_memory(file, tmp_path, capsys):
    given = ["rollout", "--input", str(file), *LINE]
    assert (
        main([*given, "--output", str(tmp_path / "r.csv"), "--walks", str(tmp_path / "w.csv")]) == 0
    )
    printed = capsys.readouterr().out
    assert "in cells that cannot be left" in printed
    assert "D10 (30 cells): nearest is step" in printed
    assert "note: sampled compositions differ" in printed
    cells = anndata.read_h5ad(file)
    expected = gft.tl.rollout(cells, "cluster", "stem", time_key="day", num_steps=25)
    table = pd.read_csv(tmp_path / "r.csv")
    np.testing.assert_allclose(table["share"], expected["share"], atol=1e-6)
    assert list(table) == list(expected)
    walked = pd.read_csv(tmp_path / "w.csv")
    assert walked.shape == (26_000, 4)
    held = cells.uns["rollout"]
    np.testing.assert_array_equal(walked["cell"], held["cells"][held["walks"].ravel()])
    assert walked["cluster"].equals(
        cells.obs["cluster"][walked["cell"]].astype(str).reset_index(drop=True)
    )
    for target in (tmp_path / "out.h5ad", file):  # and in place
        assert main([*given, "--output", str(target)]) == 0
        found = anndata.read_h5ad(target)
        pd.testing.assert_frame_equal(found.uns["rollout"]["table"], expected)
        assert "fate_drivers" in found.uns
        assert (found.obsp["T_geneformer_t"] != cells.obsp["T_geneformer_t"]).nnz == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--output", "o.txt"], "output must end in .csv or .h5ad; got o.txt"),
        (["--output", "o.csv", "--walks", "w.h5ad"], "walks must end in .csv; got w.h5ad"),
        (["--output", "o.csv", "--walks", "o.csv"], "must be two files"),
        (["--output", "o.csv", "--start", "x"], "has no 'x'; it has: stem, up, A, B, C"),
        (
            ["--output", "o.csv", "--transitions_key", "T"],
            "obsp has no 'T'; it has: T_geneformer_t",
        ),
        (["--output", "o.csv", "--num_walks", "0"], "num_walks must be at least 1"),
    ],
)
def test_errors_are_one_message(more, message, file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["rollout", "--input", str(file), *LINE, *more])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.h5ad"]
