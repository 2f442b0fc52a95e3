"""Edits move genes to the ranks that were asked for, whatever their order, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bionemo.geneformer_t.perturbation.edits import (
    ABSENT,
    AsIn,
    Delete,
    Move,
    edited,
    parse_edit,
    placed,
    ranks_in,
    typical_ranks,
)
from bionemo.geneformer_t.ragged import Ragged

CELL = np.array([7, 3, 9, 5, 8])


def after(edit, *tokens, elsewhere=None) -> list[int]:
    found = edited(CELL, np.array(tokens), edit, elsewhere)
    assert found is not None
    return found.tolist()


@pytest.mark.parametrize(
    ("word", "edit"),
    [
        ("delete", Delete()),
        ("up:50", Move(50)),
        ("down:3", Move(-3)),
        ("as:Beta cells", AsIn("Beta cells")),
    ],
)
def test_words_are_edits_and_back(word, edit) -> None:
    assert parse_edit(word) == edit
    assert str(edit) == word


@pytest.mark.parametrize("word", ["remove", "up", "up:0", "up:-3", "down:1.5", "as:", "delete:3"])
def test_other_words_are_refused_with_those_that_exist(word) -> None:
    with pytest.raises(ValueError, match=rf"delete, up:K or down:K .*as:CLUSTER; got '{word}'"):
        parse_edit(word)


def test_a_deleted_gene_leaves_the_others_in_order() -> None:
    assert after(Delete(), 9) == [7, 3, 5, 8]
    assert after(Delete(), 9, 7) == [3, 5, 8]


def test_a_gene_moves_by_ranks_and_no_further_than_the_ends() -> None:
    assert after(Move(2), 5) == [7, 5, 3, 9, 8]
    assert after(Move(-1), 5) == [7, 3, 9, 8, 5]
    assert after(Move(10), 5) == [5, 7, 3, 9, 8]
    assert after(Move(-10), 7) == [3, 9, 5, 8, 7]


def test_genes_that_move_together_keep_their_order_at_the_ends() -> None:
    assert after(Move(10), 8, 5) == after(Move(10), 5, 8) == [5, 8, 7, 3, 9]
    assert after(Move(-10), 3, 7) == after(Move(-10), 7, 3) == [9, 5, 8, 7, 3]


def test_a_cell_that_lacks_a_gene_is_not_edited() -> None:
    assert edited(CELL, np.array([4]), Delete()) is None
    assert edited(CELL, np.array([7, 4]), Move(1)) is None


def test_as_in_another_cluster_genes_get_its_ranks_even_where_they_were_missing() -> None:
    assert after(AsIn("Beta"), 8, elsewhere={8: 1}) == [7, 8, 3, 9, 5]
    assert after(AsIn("Beta"), 4, elsewhere={4: 0}) == [4, 7, 3, 9, 5, 8]
    assert after(AsIn("Beta"), 4, elsewhere={4: 99}) == [7, 3, 9, 5, 8, 4]
    assert after(AsIn("Beta"), 3, 4, elsewhere={3: ABSENT, 4: 2}) == [7, 9, 4, 5, 8]


@given(st.permutations(range(8)), st.data())
def test_order_never_matters_and_free_places_are_kept_exactly(genes, data) -> None:
    cell = np.array(genes)
    number = data.draw(st.integers(1, 5))
    tokens = np.array(data.draw(st.permutations(range(10)))[:number])
    places = np.array(data.draw(st.lists(st.integers(-1, 12), min_size=number, max_size=number)))
    found = placed(cell, tokens, places)
    backwards = placed(cell, tokens[::-1], places[::-1])
    np.testing.assert_array_equal(found, backwards)
    left = [gene for gene in found.tolist() if gene not in tokens]
    assert left == [gene for gene in genes if gene not in tokens]
    kept = tokens[places != ABSENT]
    assert set(kept.tolist()) | set(left) == set(found.tolist())
    assert len(found) == len(left) + len(kept)
    wanted = places[places != ABSENT]
    if len(set(wanted.tolist())) == len(wanted) and (wanted < len(found)).all():
        np.testing.assert_array_equal(ranks_in(found, kept), wanted)


def test_typical_ranks_are_those_of_the_middle_cell_and_genes_of_a_minority_are_absent() -> None:
    cells = Ragged.of([np.array(c) for c in ([1, 2, 3], [2, 1], [4, 5, 1], [2, 4])])
    found = typical_ranks(cells, np.array([1, 2, 3, 4, 6]), 10)
    # of gene 1: 0, 1, 2, behind; of gene 2: 0, 0, 1, behind; of gene 4: 0, 1 and two without
    assert found == {1: 2, 2: 1, 3: ABSENT, 4: ABSENT, 6: ABSENT}
