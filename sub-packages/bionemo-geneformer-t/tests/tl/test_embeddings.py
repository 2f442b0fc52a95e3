"""`gft.tl.embed` writes where scanpy looks, for cells in memory and on disk."""

import anndata
import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp

import bionemo.geneformer_t as gft
from bionemo.geneformer_t.inference.checkpoint import load_model

KEY = "X_geneformer_t"


@pytest.fixture
def cells(tiny_data_dir) -> anndata.AnnData:
    return anndata.read_h5ad(tiny_data_dir / "train" / "data.h5ad")


@pytest.fixture
def expected(cells, untrained_checkpoint) -> np.ndarray:
    embedded = gft.tl.embed(cells, untrained_checkpoint, copy=True)
    return embedded.obsm[KEY]


def test_results_stand_where_scanpy_looks_and_nothing_else_changes(cells, untrained_checkpoint):
    before = cells.copy()
    assert gft.tl.embed(cells, untrained_checkpoint) is None
    assert cells.obsm[KEY].shape == (40, 16)
    assert cells.obsm[KEY].dtype == np.float32
    assert cells.varm[KEY].shape == cells.varm[f"{KEY}_input"].shape == (30, 16)
    assert np.isnan(cells.varm[KEY][28:]).all()
    assert not np.isnan(cells.varm[f"{KEY}_input"][:28]).any()
    assert cells.uns[KEY]["params"]["layer"] == -2
    assert cells.obs.equals(before.obs)
    assert cells.var.equals(before.var)
    assert (cells.X != before.X).nnz == 0


@pytest.mark.slow  # where it is the first to compile the neighbor search
def test_neighbors_follow_directly_even_where_cells_without_known_genes_are_zeros(
    cells, untrained_checkpoint, caplog
):
    counts = cells.X.toarray()
    counts[7, :28] = 0
    cells.X = sp.csr_matrix(counts)
    gft.tl.embed(cells, untrained_checkpoint)
    assert "1 of 40 cells express no gene" in caplog.text
    assert cells.uns[KEY]["num_empty_cells"] == 1
    assert not cells.obsm[KEY][7].any()
    assert (np.delete(cells.obsm[KEY], 7, axis=0) != 0).any(axis=1).all()
    sc.pp.neighbors(cells, use_rep=KEY, n_neighbors=5)
    assert cells.obsp["connectivities"].shape == (40, 40)


@pytest.mark.parametrize("layout", ["csc", "dense", "layer", "integers"])
def test_the_layout_of_the_counts_does_not_matter(cells, untrained_checkpoint, expected, layout):
    arguments = {}
    if layout == "csc":
        cells.X = cells.X.tocsc()
    elif layout == "dense":
        cells.X = cells.X.toarray()
    elif layout == "integers":
        cells.X = cells.X.astype(np.int32)
    else:
        cells.layers["counts"] = cells.X.copy()
        cells.X = cells.X.log1p()
        arguments["counts_layer"] = "counts"
    gft.tl.embed(cells, untrained_checkpoint, **arguments)
    np.testing.assert_array_equal(cells.obsm[KEY], expected)


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_backed_cells_are_read_from_their_file(
    cells, untrained_checkpoint, expected, layout, tmp_path
):
    changes = {"csr": cells.X, "csc": cells.X.tocsc(), "dense": cells.X.toarray()}
    cells.X = changes[layout]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    gft.tl.embed(backed, untrained_checkpoint)
    np.testing.assert_array_equal(backed.obsm[KEY], expected)
    with pytest.raises(ValueError, match="copy=True needs a file"):
        gft.tl.embed(backed, untrained_checkpoint, copy=True)


def test_some_cells_of_a_backed_object_keep_their_order(
    cells, untrained_checkpoint, expected, tmp_path
):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    order = [5, 2, 30]
    some = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")[order].to_memory()
    gft.tl.embed(some, untrained_checkpoint)
    np.testing.assert_allclose(some.obsm[KEY], expected[order], rtol=1e-5, atol=1e-6)


def test_a_loaded_model_serves_as_well_as_its_checkpoint(cells, untrained_checkpoint, expected):
    gft.tl.embed(cells, load_model(untrained_checkpoint), key_added="X_mine", gene_embeddings=False)
    np.testing.assert_array_equal(cells.obsm["X_mine"], expected)
    assert not cells.varm
    gft.tl.embed(cells, str(untrained_checkpoint), layer=-1, pooling="cls")
    assert not np.allclose(cells.obsm[KEY], expected)


def test_a_copy_leaves_the_cells_alone(cells, untrained_checkpoint):
    copied = gft.tl.embed(cells, untrained_checkpoint, copy=True)
    assert KEY in copied.obsm
    assert KEY not in cells.obsm


def test_what_is_missing_is_named(cells, untrained_checkpoint, tmp_path):
    with pytest.raises(KeyError, match="no layer 'spliced'; the layers are: none"):
        gft.tl.embed(cells, untrained_checkpoint, counts_layer="spliced")
    with pytest.raises(FileNotFoundError, match="checkpoint: expected a file"):
        gft.tl.embed(cells, tmp_path / "none.ckpt")
    cells.X = None
    with pytest.raises(ValueError, match="the cells have no X"):
        gft.tl.embed(cells, untrained_checkpoint)


def test_the_package_has_no_other_tools():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = gft.nonsense
