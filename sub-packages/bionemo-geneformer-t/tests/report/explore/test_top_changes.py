import numpy as np
import scipy.sparse as sp

from bionemo.geneformer_t.report.explore.top_changes import top_changes

GENES = np.arange(1, 9)


def test_the_genes_that_rise_and_fall_most_are_in_their_order() -> None:
    now = np.zeros((1, 9))
    now[0, 5:] = [1.0, 0.8, 0.6, 0.4]
    expected = np.zeros((1, 9))
    expected[0, :5] = [9.0, 0.1, 0.2, 0.3, 0.4]  # the first is no gene
    found = top_changes(sp.csr_array(now), expected, GENES)
    assert found.tokens.tolist() == [[4, 3, 2, 5, 6, 7]]
    np.testing.assert_allclose(found.change, [[0.4, 0.3, 0.2, -1.0, -0.8, -0.6]])


def test_of_few_genes_none_both_rises_and_falls() -> None:
    found = top_changes(sp.csr_array(np.zeros((2, 9))), np.zeros((2, 9)), GENES[:3])
    assert found.tokens.shape == (2, 2)
    assert all(len(set(row)) == 2 for row in found.tokens.tolist())
