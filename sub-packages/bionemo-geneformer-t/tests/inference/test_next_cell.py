import numpy as np
import torch

from bionemo.geneformer_t.inference.next_cell import predict_next_cells
from bionemo.geneformer_t.inference.rank_distributions import frame


def cells_of(vocab):
    rng = np.random.default_rng(0)
    lengths = (5, 12, 3, 0, 9, 28, 1)
    return [rng.permutation(vocab.gene_ids)[:length] for length in lengths]


def test_every_cell_gets_what_it_gets_alone(model, vocab) -> None:
    cells = cells_of(vocab)
    predicted = predict_next_cells(model, cells.__getitem__, np.arange(7), 4, batch_size=2)
    assert predicted.cells.tolist() == [0, 1, 2, 4, 5, 6]
    for i, cell in enumerate(predicted.cells):
        ids = torch.from_numpy(frame(cells[cell][:15], vocab))[None]  # seq_length 33: 15 genes
        alone = model.predict_next_cell(ids, torch.ones_like(ids), 4)
        assert predicted.token_ids[i].tolist() == alone.token_ids[0].tolist()
        np.testing.assert_allclose(predicted.probabilities[i], alone.probabilities[0], rtol=1e-4)


def test_a_budget_of_tokens_is_kept_and_changes_nothing(model, vocab) -> None:
    cells = cells_of(vocab)
    seen = []

    def watch(batches):
        for batch in batches:
            seen.append(batch)
            yield batch

    expected = predict_next_cells(model, cells.__getitem__, np.arange(7), 4)
    predicted = predict_next_cells(
        model, cells.__getitem__, np.arange(7), 4, max_tokens_per_batch=40, progress=watch
    )
    np.testing.assert_array_equal(predicted.token_ids, expected.token_ids)
    np.testing.assert_allclose(predicted.probabilities, expected.probabilities, rtol=1e-4)
    lengths = np.array([min(len(cells[row]), 15) + 2 + 4 for row in predicted.cells])
    assert sorted(np.concatenate(seen).tolist()) == list(range(6))
    assert all(lengths[batch].sum() <= 40 for batch in seen)
    assert len(seen) == 3


def test_cells_without_genes_are_named_not_hidden(model, vocab) -> None:
    predicted = predict_next_cells(model, cells_of(vocab).__getitem__, np.arange(7), 4)
    assert predicted.empty.tolist() == [3]


def test_the_given_order_is_kept(model, vocab) -> None:
    cells = cells_of(vocab)
    forwards, backwards = (
        predict_next_cells(model, cells.__getitem__, order, 4, batch_size=3)
        for order in (np.array([0, 1, 2]), np.array([2, 1, 0]))
    )
    np.testing.assert_array_equal(forwards.token_ids, backwards.token_ids[::-1])


def test_genes_are_named_and_none_twice(model, vocab) -> None:
    predicted = predict_next_cells(model, cells_of(vocab).__getitem__, np.array([1]), 10)
    genes = predicted.genes(0)
    assert len(set(genes)) == 10
    assert set(genes) <= set(vocab.genes)


def test_no_cells_give_an_empty_answer(model, vocab) -> None:
    predicted = predict_next_cells(model, cells_of(vocab).__getitem__, np.array([3]), 4)
    assert predicted.token_ids.shape == (0, 4)


def test_progress_sees_every_batch(model, vocab) -> None:
    seen = []

    def watch(batches):
        for batch in batches:
            seen.append(len(batch))
            yield batch

    predict_next_cells(
        model, cells_of(vocab).__getitem__, np.arange(7), 2, batch_size=4, progress=watch
    )
    assert seen == [4, 2]
