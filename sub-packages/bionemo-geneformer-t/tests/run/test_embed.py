"""`geneformer-t embed` streams what `gft.tl.embed` computes, and keeps the rest of the file."""

import anndata
import h5py
import numpy as np
import pytest

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.run.cli import main
from bionemo.geneformer_t.run.embed import embed

KEY = "X_geneformer_t"


@pytest.fixture
def cells_file(tiny_data_dir, tmp_path):
    """Raw counts with everything else that an AnnData may carry."""
    cells = anndata.read_h5ad(tiny_data_dir / "train" / "data.h5ad")
    cells.layers["counts"] = cells.X.copy()
    cells.obsm["X_pca"] = np.ones((40, 3))
    cells.varm["PCs"] = np.ones((30, 3))
    cells.obsp["near"] = cells.X @ cells.X.T
    cells.uns["colors"] = ["red", "blue"]
    cells.raw = cells.copy()
    cells.obs["day"] = cells.obs["day"].astype("category")
    cells.write_h5ad(tmp_path / "cells.h5ad", compression="gzip")
    return tmp_path / "cells.h5ad"


def entries(path) -> dict[str, np.ndarray]:
    """Every stored array and attribute of a file."""
    found = {}

    def visit(name, item):
        found[name] = item[()] if isinstance(item, h5py.Dataset) else None
        for key, value in item.attrs.items():
            found[f"{name}@{key}"] = value

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_the_file_is_as_in_memory_and_all_else_is_kept(cells_file, untrained_checkpoint, tmp_path):
    output = embed(
        checkpoint=untrained_checkpoint, input=cells_file, output=tmp_path / "new" / "out.h5ad"
    )
    cells, written = anndata.read_h5ad(cells_file), anndata.read_h5ad(output)
    gft.tl.embed(cells, untrained_checkpoint)
    np.testing.assert_array_equal(written.obsm[KEY], cells.obsm[KEY])
    for key in (KEY, f"{KEY}_input"):
        np.testing.assert_array_equal(written.varm[key], cells.varm[key])
    assert written.uns[KEY]["checkpoint"] == cells.uns[KEY]["checkpoint"]
    assert written.obs_names.tolist() == cells.obs_names.tolist()
    before, after = entries(cells_file), entries(output)
    assert not [name for name in after if name not in before and KEY not in name]
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)


def test_a_file_may_be_updated_in_place_and_again(cells_file, untrained_checkpoint):
    line = ["embed", "--checkpoint", str(untrained_checkpoint), "--input", str(cells_file),
            "--output", str(cells_file)]  # fmt: skip
    assert main([*line, "--layer", "-1"]) == 0
    first = anndata.read_h5ad(cells_file)
    assert main([*line, "--gene_embeddings", "false"]) == 0
    second = anndata.read_h5ad(cells_file)
    assert not np.allclose(first.obsm[KEY], second.obsm[KEY])
    assert f"{KEY}_input" in first.varm
    assert list(second.varm) == ["PCs"]
    assert second.uns[KEY]["params"]["layer"] == -2
    assert [path.name for path in cells_file.parent.glob(".*")] == []


def test_a_folder_of_cells_and_a_layer_can_be_read(
    cells_file, untrained_checkpoint, tiny_data_dir, tmp_path, capsys
):
    cells = anndata.read_h5ad(cells_file)
    cells.X = cells.X.log1p()
    cells.write_h5ad(cells_file)
    given = {"checkpoint": untrained_checkpoint}
    one = embed(**given, input=cells_file, output=tmp_path / "1.h5ad", counts_layer="counts")
    two = embed(**given, input=tiny_data_dir / "train", output=tmp_path / "2.h5ad")
    np.testing.assert_array_equal(
        anndata.read_h5ad(one).obsm[KEY], anndata.read_h5ad(two).obsm[KEY]
    )
    assert "28 of 30 genes" in capsys.readouterr().out
    with pytest.raises(ValueError, match="look log-normalised"):
        embed(**given, input=cells_file, output=tmp_path / "3.h5ad")
    with pytest.raises(KeyError, match="holds no layer 'spliced'; it holds: counts"):
        embed(**given, input=cells_file, output=tmp_path / "3.h5ad", counts_layer="spliced")
    assert sorted(path.name for path in tmp_path.glob("*.h5ad")) == [
        "1.h5ad",
        "2.h5ad",
        "cells.h5ad",
    ]


def test_columns_first_files_give_the_same(cells_file, untrained_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("bionemo.geneformer_t.counts.stored_matrix._VALUES_OF_COLUMNS", 400)
    given = {"checkpoint": untrained_checkpoint}
    expected = embed(**given, input=cells_file, output=tmp_path / "1.h5ad")
    cells = anndata.read_h5ad(cells_file)
    cells.X = cells.X.tocsc()
    cells.write_h5ad(cells_file)
    found = embed(**given, input=cells_file, output=tmp_path / "2.h5ad")
    for attribute in ("obsm", "varm"):
        np.testing.assert_array_equal(
            getattr(anndata.read_h5ad(found), attribute)[KEY],
            getattr(anndata.read_h5ad(expected), attribute)[KEY],
        )


def test_nothing_is_left_of_a_run_that_fails(cells_file, untrained_checkpoint, tmp_path):
    cells = anndata.read_h5ad(cells_file)
    cells.X = cells.X.log1p()
    cells.write_h5ad(cells_file)
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="look log-normalised"):
        embed(checkpoint=untrained_checkpoint, input=cells_file, output=tmp_path / "out" / "o.h5ad")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_truncated_input_is_named(cells_file, untrained_checkpoint, tmp_path):
    cells_file.write_bytes(cells_file.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"cells\.h5ad cannot be read as \.h5ad"):
        embed(checkpoint=untrained_checkpoint, input=cells_file, output=tmp_path / "o.h5ad")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"output": "out.csv"}, r"output must end in \.h5ad; got out\.csv"),
        ({"token_budget": 0}, "at least 1"),
    ],
)
def test_wrong_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        embed(**{"checkpoint": "a.ckpt", "input": "b.h5ad", "output": "c.h5ad", **setting})


def test_a_missing_input_is_named(untrained_checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"input: expected an \.h5ad file, or a folder"):
        embed(checkpoint=untrained_checkpoint, input=tmp_path / "no.h5ad", output="o.h5ad")


def test_counts_and_genes_of_raw_are_embedded(cells_file, untrained_checkpoint, tmp_path):
    """`raw` has genes that `var` lacks; embeddings of genes are written for those of `var`."""
    given = {"checkpoint": untrained_checkpoint}
    expected = anndata.read_h5ad(embed(**given, input=cells_file, output=tmp_path / "1.h5ad"))
    cells = anndata.read_h5ad(cells_file)
    few = cells[:, ::-2].copy()
    few.raw, few.X = cells, few.X.log1p()
    few.write_h5ad(tmp_path / "few.h5ad")
    given["input"] = tmp_path / "few.h5ad"
    found = anndata.read_h5ad(embed(**given, output=tmp_path / "2.h5ad", use_raw=True))
    np.testing.assert_array_equal(found.obsm[KEY], expected.obsm[KEY])
    np.testing.assert_array_equal(found.varm[KEY], expected[:, ::-2].varm[KEY])
    in_memory = few.copy()
    gft.tl.embed(in_memory, untrained_checkpoint, use_raw=True)
    np.testing.assert_array_equal(in_memory.obsm[KEY], expected.obsm[KEY])
    np.testing.assert_array_equal(in_memory.varm[KEY], expected[:, ::-2].varm[KEY])
    with pytest.raises(ValueError, match="--counts_layer counts or --use_raw"):
        embed(**given, output=tmp_path / "3.h5ad")
    with pytest.raises(ValueError, match="use_raw=True"):
        gft.tl.embed(few, untrained_checkpoint)
