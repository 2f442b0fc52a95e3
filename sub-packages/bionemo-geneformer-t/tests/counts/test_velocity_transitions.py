"""scVelo's velocity graph becomes the transitions that scVelo makes of it."""

import numpy as np
import pytest
import scipy.sparse as sp

from bionemo.geneformer_t.counts.velocity_transitions import (
    velocity_graph_names,
    velocity_transitions,
)

POSITIVE = sp.csr_matrix(np.array([[0, 0.5, 0.2, 0], [0, 0, 0.1, 0], [0, 0, 0, 0], [0, 0, 0.3, 0]]))
NEGATIVE = sp.csr_matrix(
    np.array([[0, 0, 0, -0.3], [-0.4, 0, 0, 0], [-0.2, -0.6, 0, 0], [0, 0, 0, 0]])
)


def test_weights_grow_with_the_exponential_of_the_cosine() -> None:
    """By hand: what a cell's highest cosine lacks to the others' percentile keeps it in place."""
    found = velocity_transitions(POSITIVE, NEGATIVE, 4).toarray()
    top = np.percentile([0.5, 0.1, 0, 0.3], 98)
    first = np.array([1.0, np.exp(5), np.exp(2), np.exp(-3)])
    np.testing.assert_allclose(found[0, 1:], first[1:] / first[1:].sum(), rtol=1e-12)
    second = np.array([np.exp(-4), np.exp(10 * (top - 0.1)), np.exp(1)])
    np.testing.assert_allclose(found[1, :3], second / second.sum(), rtol=1e-12)
    assert found[1, 3] == 0


def test_cells_that_move_to_no_neighbor_have_no_successor() -> None:
    assert velocity_transitions(POSITIVE, NEGATIVE, 4).toarray()[2].tolist() == [0, 0, 0, 0]


def test_without_a_negative_part_weights_begin_at_nothing() -> None:
    found = velocity_transitions(POSITIVE, None, 4).toarray()
    np.testing.assert_allclose(found[0, 1] / found[0, 2], np.expm1(5) / np.expm1(2))


@pytest.mark.parametrize("form", [np.asarray, sp.csc_array, sp.coo_matrix])
def test_any_form_of_matrix_will_do(form: type) -> None:
    found = velocity_transitions(form(POSITIVE.toarray()), form(NEGATIVE.toarray()), 4)
    expected = velocity_transitions(POSITIVE, NEGATIVE, 4)
    np.testing.assert_allclose(found.toarray(), expected.toarray())


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        (POSITIVE, NEGATIVE, r"uns\['velocity_graph'\] is 4 x 4, and the data hold 3 cells"),
        (POSITIVE[:3, :3], NEGATIVE, r"uns\['velocity_graph_neg'\] is 4 x 4"),
        ("graph", None, "is no matrix, .* run scvelo.tl.velocity_graph again"),
    ],
)
def test_a_graph_of_other_cells_is_refused(
    positive: object, negative: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        velocity_transitions(positive, negative, 3)


def test_graphs_are_known_by_their_names() -> None:
    uns = [
        "velocity_graph",
        "velocity_graph_neg",
        "neighbors",
        "dyn_graph",
        "dyn_graph_neg",
        "a_graph",
    ]
    assert velocity_graph_names(uns) == ["dyn_graph", "velocity_graph"]
