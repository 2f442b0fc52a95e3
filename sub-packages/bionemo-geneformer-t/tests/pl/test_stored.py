"""What pictures read, through the functions that read it."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bionemo.geneformer_t as gft


def drawn_places(axes) -> np.ndarray:
    return np.sort(np.concatenate([d.get_offsets() for d in axes.collections[:2]]), axis=0)


@pytest.mark.parametrize(
    ("held", "basis", "used"),
    [
        (["X_pca", "X_tsne", "X_umap"], None, "X_umap"),
        (["X_pca", "X_tsne"], None, "X_tsne"),
        (["spatial", "X_pca"], None, "X_pca"),
        (["X_umap", "X_pca"], "pca", "X_pca"),
        (["X_umap", "spatial"], "spatial", "spatial"),
    ],
)
def test_the_embedding_is_the_first_of_a_known_order_or_the_named_one(
    held, basis, used, cells
) -> None:
    del cells.obsm["X_umap"]
    for number, key in enumerate(held):
        cells.obsm[key] = np.random.default_rng(number).normal(size=(len(cells), 3))
    axes = gft.pl.fates(cells, "A", basis=basis)
    np.testing.assert_array_equal(
        drawn_places(axes), np.sort(cells.obsm[used][:, :2].astype(float), axis=0)
    )


def test_without_an_embedding_it_says_which_were_looked_for(cells) -> None:
    cells.obsm["other"] = cells.obsm.pop("X_umap")
    message = r"none of X_umap, X_emb, .*X_pca; it has: fates, other\. Run scanpy\.tl\.umap"
    for draw in (gft.pl.fates, gft.pl.transitions):
        with pytest.raises(KeyError, match=message):
            draw(cells)
    with pytest.raises(KeyError, match="basis: obsm has neither 'tsne' nor 'X_tsne'; it has: fat"):
        gft.pl.fates(cells, basis="tsne")


@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csc_array])
def test_a_sparse_embedding_is_drawn_as_its_values(make, cells) -> None:
    expected = drawn_places(gft.pl.fates(cells, "A"))
    cells.obsm["X_umap"] = make(cells.obsm["X_umap"])
    np.testing.assert_array_equal(drawn_places(gft.pl.fates(cells, "A")), expected)


def test_embeddings_of_one_column_or_with_holes_are_refused(cells) -> None:
    cells.obsm["line"] = np.ones((len(cells), 1))
    with pytest.raises(ValueError, match="must have two columns"):
        gft.pl.fates(cells, basis="line")
    cells.obsm["X_umap"][:3] = np.nan
    with pytest.raises(ValueError, match=r"3 of 40 cells have no place in obsm\['X_umap'\]"):
        gft.pl.transitions(cells)


def test_without_transitions_it_says_what_to_run(cells) -> None:
    del cells.obsp["T_geneformer_t"]
    for draw in (gft.pl.transitions, lambda c: gft.pl.flow(c, "cluster")):
        with pytest.raises(KeyError, match=r"run gft\.tl\.transitions first; obsp has: nothing"):
            draw(cells)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2.0, r"rows of 1 of 40 cells sum to 2 to 2.*Cells: cell0\."),
        (np.nan, "holds 1 NaN or infinite values, in the rows of cell0"),
        (-1.0, "holds 1 negative values, in the rows of cell0"),
    ],
)
def test_rows_that_are_no_probabilities_are_refused(value, message, cells) -> None:
    matrix = sp.lil_matrix(cells.obsp["T_geneformer_t"])
    matrix[0, 1] = value
    cells.obsp["T_geneformer_t"] = matrix.tocsr()
    with pytest.raises(ValueError, match=message):
        gft.pl.transitions(cells)


def test_what_fates_are_computed_from_is_drawn_too(cells) -> None:
    cells.obsp["T_geneformer_t"] = cells.obsp["T_geneformer_t"].astype(np.float32) * 1.000004
    gft.tl.fates(cells, ["A", "B", "C"], cluster_key="cluster")
    gft.pl.flow(cells, "cluster")


def test_an_empty_matrix_is_refused(cells) -> None:
    cells.obsp["T_geneformer_t"] = sp.csr_matrix((len(cells), len(cells)))
    with pytest.raises(ValueError, match=r"obsp\['T_geneformer_t'\] holds no transition at all"):
        gft.pl.transitions(cells)


def test_without_drivers_it_says_what_to_run(cells) -> None:
    table = cells.uns.pop("fate_drivers")
    with pytest.raises(KeyError, match=r"run gft\.tl\.drivers first; uns has: cluster_colors"):
        gft.pl.drivers(cells)
    cells.uns["fate_drivers"] = table.drop(columns=["fdr"])
    with pytest.raises(ValueError, match=r"table of gft\.tl\.drivers; it has no fdr"):
        gft.pl.drivers(cells)
    cells.uns["fate_drivers"] = {"fate": pd.Series(["A"])}
    with pytest.raises(ValueError, match="it has no fate, gene"):
        gft.pl.drivers(cells)
