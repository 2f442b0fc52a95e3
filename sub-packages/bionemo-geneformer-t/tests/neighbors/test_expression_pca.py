"""PCA is fitted on training cells alone and is the same every time."""

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.decomposition

from bionemo.geneformer_t.neighbors.expression_pca import expression_pca, fit_axes

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(RNG.gamma(1, 2, size=(80, 1)) * RNG.gamma(1, 1, size=40)).astype(np.float32)
COUNTS[:, 0] += 1
TRAIN = np.arange(80) < 50


def test_held_out_cells_change_nothing_for_the_others() -> None:
    changed = COUNTS.copy()
    changed[79] = changed[79, ::-1] + 50
    before = expression_pca(sp.csr_matrix(COUNTS), TRAIN, 5)
    after = expression_pca(sp.csr_matrix(changed), TRAIN, 5)
    assert (before[:79] == after[:79]).all()
    assert (before[79] != after[79]).any()


def test_it_is_the_textbook_projection_up_to_sign() -> None:
    points = expression_pca(sp.csr_matrix(COUNTS), TRAIN, 3)
    logs = np.log1p(COUNTS / COUNTS.sum(axis=1, keepdims=True) * 1e4)
    oracle = sklearn.decomposition.PCA(3, svd_solver="full").fit(logs[TRAIN]).transform(logs)
    # float32 and an iterative solver
    np.testing.assert_allclose(np.abs(points), np.abs(oracle), rtol=1e-2, atol=1e-2)


def test_the_same_input_gives_the_same_points_and_keeps_the_counts() -> None:
    counts = sp.csr_matrix(COUNTS)
    first = expression_pca(counts, TRAIN, 5)
    assert (first == expression_pca(counts, TRAIN, 5)).all()
    assert (counts.toarray() == COUNTS).all()


def test_variable_genes_are_chosen_and_components_limited() -> None:
    assert expression_pca(sp.csr_matrix(COUNTS), TRAIN, 30, num_variable_genes=10).shape == (80, 9)


def test_too_few_training_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="at least three training cells"):
        expression_pca(sp.csr_matrix(COUNTS), np.arange(80) < 1)


def test_blocks_give_the_axes_of_the_whole() -> None:
    whole = sp.csr_array(COUNTS)
    one = fit_axes(lambda: [whole], 40, 5)
    many = fit_axes(lambda: [whole[start : start + 7] for start in range(0, 80, 7)], 40, 5)
    # sums in another order
    np.testing.assert_allclose(one.project(whole), many.project(whole), rtol=1e-3, atol=1e-3)


def test_few_of_many_components_are_the_same_as_all() -> None:
    counts = sp.csr_matrix(RNG.poisson(RNG.gamma(1, 1, size=(60, 1)) * RNG.gamma(1, 1, size=90)))
    few, many = expression_pca(counts, TRAIN[:60], 3), expression_pca(counts, TRAIN[:60], 40)
    np.testing.assert_allclose(few, many[:, :3], rtol=1e-3, atol=1e-3)
