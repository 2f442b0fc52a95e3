import gzip

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.report.explore.shown_genes import shown_genes

GENES = np.arange(2, 6)
NOW = sp.csr_array(np.array([[0, 0, 1.0, 0, 0.5, 0], [0, 0, 0, 0.5, 0.5, 0]]))
EXPECTED = np.array([[0.5, 0, 0.75, 0, 0.5, 1.0]])
"""Of the second cell: token 2 rises by 0.75, token 3 falls by 0.5, token 5 rises by 1."""


def chosen(named, most_bytes=10**6):
    return shown_genes(NOW, EXPECTED, np.array([1]), GENES, named, most_bytes)


def test_named_genes_are_first_and_those_that_change_most_follow() -> None:
    assert chosen([4, 0, 4, 99]).tokens.tolist() == [4, 5, 2, 3]
    assert chosen([]).tokens.tolist() == [5, 2, 3, 4]


def ranks(found) -> np.ndarray:
    return np.frombuffer(gzip.decompress(found.ranks), np.uint8).reshape(len(found.tokens), -1)


@pytest.mark.parametrize(("number", "num_named"), [(3, 2), (1, 1), (0, 0)])
def test_there_are_as_many_as_there_is_room_for(number, num_named) -> None:
    found = chosen([4, 3], room_of(number))
    assert found.tokens.tolist() == [4, 3, 5, 2][:number]
    assert (found.num_named, found.num_all) == (num_named, 4)


def room_of(number: int) -> int:
    """Bytes of the first genes."""
    return next(n for n in range(-1, 500) if len(chosen([4, 3], n).tokens) == number)


def test_ranks_are_those_of_the_cells_and_of_the_predictions() -> None:
    found = chosen([2, 5])
    assert found.tokens.tolist() == [2, 5, 3, 4]
    assert ranks(found).tolist() == [[100, 0, 75], [0, 0, 100], [0, 50, 0], [50, 50, 50]]


def test_without_predictions_genes_keep_their_order() -> None:
    found = shown_genes(NOW, EXPECTED[:0], np.array([], dtype=np.int64), GENES, [], 1000)
    assert found.tokens.tolist() == GENES.tolist()
    assert ranks(found).shape == (4, 2)
