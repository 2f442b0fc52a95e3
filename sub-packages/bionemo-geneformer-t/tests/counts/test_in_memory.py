from types import SimpleNamespace

import anndata
import numpy as np
import pytest

from bionemo.geneformer_t.counts.h5ad import h5ad_source
from bionemo.geneformer_t.counts.in_memory import anndata_source, named_layers


def whole(source) -> np.ndarray:
    matrix = np.zeros(source.shape)
    for block in source.blocks():
        rows, columns = block.counts.shape
        here = (
            slice(block.first_row, block.first_row + rows),
            slice(block.first_column, block.first_column + columns),
        )
        matrix[here] += block.counts.toarray()
    return matrix


def test_genes_are_named_as_in_files(write_split, counts):
    split = write_split(var={"feature_id": ["a", "b", "c", "d"]})
    source = anndata_source(anndata.read_h5ad(split / "data.h5ad"))
    with h5ad_source(split / "data.h5ad") as expected:
        for name in ("cell_ids", "genes", "shape"):
            assert getattr(source, name) == getattr(expected, name)
    np.testing.assert_array_equal(whole(source), counts)


def test_layers_of_files_are_read_and_missing_ones_named(write_split, counts):
    path = write_split() / "data.h5ad"
    cells = anndata.read_h5ad(path)
    cells.layers["counts"], cells.X = cells.X.copy(), cells.X * 0.5
    cells.write_h5ad(path)
    with h5ad_source(path, "counts") as source:
        np.testing.assert_array_equal(whole(source), counts)
        assert source.where.endswith("data.h5ad: layer 'counts'")
    with (
        pytest.raises(KeyError, match="holds no layer 'raw'; it holds: counts"),
        h5ad_source(path, "raw"),
    ):
        pass


@pytest.mark.parametrize(("held", "named"), [((None,), "none"), ((None, "a", "b"), "a, b")])
def test_x_is_not_named_among_the_layers(held, named) -> None:
    """anndata 0.13 lists it there; files and earlier versions have names alone."""
    assert named_layers(SimpleNamespace(layers=dict.fromkeys(held))) == named
