"""A matrix of another tool becomes a graph: its strongest entries, in the right direction."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Built, Cells
from bionemo.geneformer_t.neighbors.precomputed import precomputed_neighbors

MATRIX = np.array([[9, 3, 1, 2], [0, 0, 0, 5], [4, 0, 7, 4], [0, 0, 0, 0]], dtype=np.float64)


def built(matrix: object, **settings: int) -> Built:
    cells = Cells(obs=pd.DataFrame(index=range(4)), points=np.zeros((4, 1)), obsp={"T": matrix})
    return precomputed_neighbors(cells, BuilderSettings(obsp_key="T", **settings))


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_array, sp.coo_array])
def test_rows_are_current_cells_and_the_strongest_successors_are_kept(form: type) -> None:
    graph, notes = built(form(MATRIX), num_neighbors=2)
    expected = [[0, 3, 0, 2], [0, 0, 0, 5], [4, 0, 0, 4], [0, 0, 0, 0]]
    assert graph.to_matrix().toarray().tolist() == expected
    assert notes == [
        "2 cells were their own successors; that is left out",
        "5 of 6 edges are kept: the 2 strongest of each cell",
    ]


def test_transposed_matrices_have_current_cells_in_columns() -> None:
    graph, _ = built(MATRIX.T, transposed=True)
    straight, _ = built(MATRIX)
    assert (graph.to_matrix() != straight.to_matrix()).nnz == 0


def test_of_equal_entries_the_first_is_kept() -> None:
    graph, _ = built(MATRIX, num_neighbors=1)
    assert graph.successors(2)[0].tolist() == [0]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (MATRIX[:2], r"cells x cells; got \(2, 4\)"),
        (-MATRIX, "finite and not negative"),
        (MATRIX * np.nan, "finite and not negative"),
        (np.eye(4), "no edge between different cells"),
    ],
)
def test_bad_matrices_are_refused(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        built(matrix)


def test_the_number_of_successors_must_be_positive() -> None:
    with pytest.raises(ValueError, match="num_neighbors must be at least 1"):
        built(MATRIX, num_neighbors=0)
