import anndata
import numpy as np
import pandas as pd
import pytest

from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.report.figures.cell_map import cell_map


@pytest.fixture
def split(tiny_data_dir):
    return tiny_data_dir / "test"


def tokens_of(split):
    return TemporalGeneformerDataset.from_folder(split).tokens


def test_a_map_in_the_file_is_used_with_its_colours(split) -> None:
    cells = anndata.read_h5ad(split / "data.h5ad")
    cells.obsm["X_umap"] = np.random.default_rng(0).normal(size=(16, 2))
    cells.write_h5ad(split / "data.h5ad")
    drawn = cell_map(split, tokens_of(split), 0)
    np.testing.assert_allclose(drawn.coordinates, cells.obsm["X_umap"])
    assert (drawn.name, drawn.color_name) == ("UMAP", "day")
    assert drawn.colors.tolist() == cells.obs["day"].tolist()


@pytest.mark.parametrize(
    ("there", "used"),
    [(("X_tsne", "X_emb", "X_umap"), "X_umap"), (("X_tsne", "X_emb"), "X_emb"),
     (("X_pca", "X_tsne"), "X_tsne")],
)  # fmt: skip
def test_the_embedding_of_the_file_is_used_in_this_order(split, there, used) -> None:
    cells = anndata.read_h5ad(split / "data.h5ad")
    for number, key in enumerate(there):
        cells.obsm[key] = np.random.default_rng(number).normal(size=(16, 2))
    cells.write_h5ad(split / "data.h5ad")
    drawn = cell_map(split, tokens_of(split), 0)
    np.testing.assert_allclose(drawn.coordinates, cells.obsm[used])


def test_few_clusters_are_colours_and_many_are_not(split) -> None:
    few = pd.Categorical(["a", "b"] * 8)
    drawn = cell_map(split, tokens_of(split), 0, few)
    assert (drawn.colors.tolist(), drawn.color_name) == (["a", "b"] * 8, "cluster")
    many = pd.Categorical([f"c{i}" for i in range(16)])
    assert cell_map(split, tokens_of(split), 0, many).color_name == "day"


def test_a_few_cells_without_a_map_are_placed_by_their_components(split) -> None:
    drawn = cell_map(split, tokens_of(split), 0)
    assert drawn.coordinates.shape == (16, 2)
    assert np.isfinite(drawn.coordinates).all()
    assert drawn.name == "principal components"


def test_labels_stay_labels(split) -> None:
    cells = anndata.read_h5ad(split / "data.h5ad")
    cells.obs["cell_type"] = ["late" if day else "early" for day in cells.obs["day"]]
    cells.write_h5ad(split / "data.h5ad")
    assert set(cell_map(split, tokens_of(split), 0).colors) == {"early", "late"}
