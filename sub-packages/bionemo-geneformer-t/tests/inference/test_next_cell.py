from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch

from bionemo.geneformer_t.inference.next_cell import NextCells, predict_next_cells
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import CLS, SEP

LENGTHS = (5, 12, 3, 0, 9, 28, 1)


def cells_of(vocab) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.permutation(vocab.gene_ids)[:length] for length in LENGTHS]


def predicted_of(model, cells: Sequence[np.ndarray], ranks: int, **settings) -> NextCells:
    (found,) = predict_next_cells(model, [Ragged.of(cells)], ranks, **settings)
    return found


def lengths_of_batches(monkeypatch, model) -> list[list[int]]:
    """Filled with the lengths of the cells of each batch."""
    seen: list[list[int]] = []
    ask = model.rank_distributions

    def watched(contexts, num_ranks):
        seen.append(contexts.lengths.tolist())
        return ask(contexts, num_ranks)

    monkeypatch.setattr(model, "rank_distributions", watched)
    return seen


def test_every_cell_gets_what_it_gets_alone(model, vocab) -> None:
    cells = cells_of(vocab)
    predicted = predicted_of(model, cells, 4, batch_size=2)
    assert predicted.cells.tolist() == [0, 1, 2, 4, 5, 6]
    for i, cell in enumerate(predicted.cells):
        genes = cells[cell][:15]  # seq_length 33: 15 genes
        ids = torch.tensor([[vocab.ids[CLS], *genes, vocab.ids[SEP]]])
        alone = model.predict_next_cell(ids, torch.ones_like(ids), 4)
        assert predicted.token_ids[i].tolist() == alone.token_ids[0].tolist()
        np.testing.assert_allclose(predicted.probabilities[i], alone.probabilities[0], rtol=1e-4)


def test_a_budget_of_tokens_is_kept_and_changes_nothing(model, vocab, monkeypatch) -> None:
    cells = cells_of(vocab)
    expected = predicted_of(model, cells, 4)
    seen = lengths_of_batches(monkeypatch, model)
    predicted = predicted_of(model, cells, 4, max_tokens_per_batch=40)
    np.testing.assert_array_equal(predicted.token_ids, expected.token_ids)
    np.testing.assert_allclose(predicted.probabilities, expected.probabilities, rtol=1e-4)
    assert sorted(length for batch in seen for length in batch) == [1, 3, 5, 9, 12, 15]
    assert all(sum(length + 2 + 4 for length in batch) <= 40 for batch in seen)
    assert len(seen) == 3


def test_cells_without_genes_are_named_not_hidden(model, vocab) -> None:
    assert predicted_of(model, cells_of(vocab), 4).empty.tolist() == [3]


@pytest.mark.parametrize("cuts", [[1], [3, 4], [7], []])
def test_blocks_change_neither_rows_nor_answers(model, vocab, cuts) -> None:
    cells = cells_of(vocab)
    expected = predicted_of(model, cells, 4)
    bounds = [0, *cuts, len(cells)]
    blocks = [Ragged.of(cells[a:b]) for a, b in pairwise(bounds)]
    found = list(predict_next_cells(model, iter(blocks), 4, batch_size=3))
    for name in ("cells", "empty", "token_ids"):
        joined = np.concatenate([getattr(block, name) for block in found])
        np.testing.assert_array_equal(joined, getattr(expected, name))


def test_the_given_order_is_kept(model, vocab) -> None:
    cells = cells_of(vocab)[:3]
    forwards, backwards = (
        predicted_of(model, order, 4, batch_size=3) for order in (cells, cells[::-1])
    )
    np.testing.assert_array_equal(forwards.token_ids, backwards.token_ids[::-1])


def test_genes_are_named_and_none_twice(model, vocab) -> None:
    (genes,) = predicted_of(model, cells_of(vocab)[1:2], 10).genes
    assert len(set(genes)) == 10
    assert set(genes) <= set(vocab.genes)


def test_no_cells_give_an_empty_answer(model, vocab) -> None:
    assert predicted_of(model, cells_of(vocab)[3:4], 4).token_ids.shape == (0, 4)


def test_every_cell_is_counted_and_encoded_once(model, vocab, monkeypatch) -> None:
    seen, told = lengths_of_batches(monkeypatch, model), []
    model.train()
    predicted_of(model, cells_of(vocab), 2, batch_size=4, on_cells=told.append)
    assert seen == [[15, 12, 9, 5], [3, 1]]
    assert told == [4, 2, 1]
    assert model.training
