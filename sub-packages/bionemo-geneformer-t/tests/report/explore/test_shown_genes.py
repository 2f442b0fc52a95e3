import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.report.explore.shown_genes import shown_genes

GENES = np.arange(2, 6)
NOW = sp.csr_array(np.array([[0, 0, 1.0, 0, 0.5, 0], [0, 0, 0, 0.5, 0.5, 0]]))
EXPECTED = np.array([[0.5, 0, 0.75, 0, 0.5, 1.0]])
"""Of the second cell: token 2 rises by 0.75, token 3 falls by 0.5, token 5 rises by 1."""


def chosen(named, most_values):
    return shown_genes(NOW, EXPECTED, np.array([1]), GENES, named, most_values)


def test_named_genes_are_first_and_those_that_change_most_follow() -> None:
    assert chosen([4, 0, 4, 99], 100).tokens.tolist() == [4, 5, 2, 3]
    assert chosen([], 100).tokens.tolist() == [5, 2, 3, 4]


@pytest.mark.parametrize(
    ("most_values", "tokens", "num_named"),
    [(11, [4, 3, 5], 2), (5, [4], 1), (2, [], 0), (-7, [], 0)],
)
def test_there_are_as_many_as_there_is_room_for(most_values, tokens, num_named) -> None:
    """A gene takes three values: of two cells and of one prediction."""
    found = chosen([4, 3], most_values)
    assert found.tokens.tolist() == tokens
    assert (found.num_named, found.num_all) == (num_named, 4)
    assert found.now.size + found.expected.size <= max(0, most_values)


def test_ranks_are_those_of_the_cells_and_of_the_predictions() -> None:
    found = chosen([2, 5], 6)
    assert found.now.tolist() == [[255, 0], [0, 0]]
    assert found.expected.tolist() == [[191], [255]]


def test_without_predictions_genes_keep_their_order() -> None:
    found = shown_genes(NOW, EXPECTED[:0], np.array([], dtype=np.int64), GENES, [], 100)
    assert found.tokens.tolist() == GENES.tolist()
    assert found.expected.shape == (4, 0)
