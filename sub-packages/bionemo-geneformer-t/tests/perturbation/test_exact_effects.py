"""Effects are differences of full passes of the textbook model; the order of cells is none."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp, softmax
from textbook import Pair, textbook_inputs, textbook_model

from bionemo.geneformer_t.perturbation import exact_effects as module
from bionemo.geneformer_t.perturbation import saved_sums
from bionemo.geneformer_t.perturbation.cell_edits import CellEdits
from bionemo.geneformer_t.perturbation.deleted_points import expected_points
from bionemo.geneformer_t.perturbation.edits import Delete, Move
from bionemo.geneformer_t.perturbation.exact_effects import (
    exact_effects,
    total_variation,
)
from bionemo.geneformer_t.perturbation.next_step import Rows
from bionemo.geneformer_t.perturbation.processes import Processes
from bionemo.geneformer_t.perturbation.saved_sums import SavedSums
from bionemo.geneformer_t.ragged import Ragged
from bionemo.geneformer_t.vocab import CLS, MASK, SEP

from .conftest import GENES_READ, RANKS, Edited

TARGETS = [(10,), (20,), (33,), (10, 20)]


def all_genes(given: Edited) -> list[tuple[int, ...]]:
    return [(token,) for token in given.model.required_vocab().gene_ids.tolist()]


def effects_of(given: Edited, targets, edit=Delete(), order=None, **options):  # noqa: B008
    order = np.arange(len(given.cells)) if order is None else order
    edits = CellEdits(given.cells.take(order), targets, edit, GENES_READ)
    return exact_effects(given.next_step(), edits, order, order % 2, **options)


def log_probs_of_textbook(given: Edited, context: np.ndarray) -> np.ndarray:
    """Ranks x tokens, by one full pass; minus infinity for what is no gene."""
    model, vocab = given.model, given.model.required_vocab()
    framed = np.concatenate([[vocab.ids[CLS]], context, [vocab.ids[SEP]]])
    ranks = np.arange(1, RANKS + 1)
    masked = np.full(RANKS, vocab.ids[MASK])
    inputs = textbook_inputs(
        [Pair(context=framed, shown=masked, ranks=ranks, labels=masked)], model.config
    )
    del inputs["labels"]
    with torch.no_grad():
        logits = textbook_model(model.net)(**inputs).logits[0, len(framed) : len(framed) + RANKS]
    no_genes = [*vocab.special_ids, *range(len(vocab), model.config.vocab_size)]
    logits[:, no_genes] = -np.inf
    return log_softmax(logits.double().numpy(), axis=1)


def row_of_textbook(given: Edited, context: np.ndarray, own: int) -> np.ndarray:
    """The transition row, written out."""
    contexts = [context, *(cell[:GENES_READ] for cell in given.references.rows())]
    tables = [log_probs_of_textbook(given, one) for one in contexts]
    likelihood = np.zeros((len(tables), len(given.cells)))
    for j, candidate in enumerate(given.cells.truncated(RANKS).rows()):
        held = [table[np.arange(len(candidate)), candidate].sum() for table in tables]
        likelihood[:, j] = np.array(held) * RANKS / len(candidate)
    scores = likelihood[0] - (logsumexp(likelihood[1:], axis=0) - np.log(len(tables) - 1))
    if (axes := given.model.axes) is not None:
        observed = axes.observed(given.cells)
        scores += 2.0 * axes.information(axes.expected(Ragged.of([context])), observed)[0]
    scores[own] = -np.inf
    best = np.argsort(-scores)[:5]
    row = np.zeros(len(given.cells))
    row[best] = softmax(scores[best] / 4.0)
    return row


@pytest.mark.parametrize("edit", [Delete(), Move(7), Move(-4)])
def test_every_effect_is_the_textbooks_after_editing_the_ranking_by_hand(
    edited_cells, edit
) -> None:
    found = effects_of(edited_cells, TARGETS, edit)
    for number, target in enumerate(TARGETS):
        effects, changes = [], []
        for own, cell in enumerate(edited_cells.cells.rows()):
            if not set(target) <= set(cell.tolist()):
                continue
            ranking = cell.tolist()
            moved = sorted(target, key=ranking.index)
            if isinstance(edit, Move):
                places = [ranking.index(gene) - edit.ranks for gene in moved]
                places = np.clip(places, 0, len(ranking) - 1).tolist()
                if len(places) == 2 and places[1] <= places[0]:
                    places[1] = places[0] + 1
                if len(places) == 2 and places[1] == len(ranking):
                    places = [len(ranking) - 2, len(ranking) - 1]
            for gene in moved:
                ranking.remove(gene)
            if isinstance(edit, Move):
                for place, gene in zip(places, moved, strict=True):
                    ranking.insert(place, gene)
            after = np.array(ranking[:GENES_READ])
            if np.array_equal(after, cell[:GENES_READ]):
                continue
            rows = [row_of_textbook(edited_cells, c, own) for c in (cell[:GENES_READ], after)]
            effects.append((rows[1] - rows[0]) @ edited_cells.fates)
            changes.append(np.abs(rows[1] - rows[0]).sum() / 2)
        assert found.sums.cells[number] == len(effects) > 0
        expected = [*np.mean(effects, axis=0), np.mean(changes)]
        np.testing.assert_allclose(found.sums.means[number], expected, atol=1e-5)
        assert np.abs(expected[:3]).max() > 1e-3


def test_an_edit_that_changes_nothing_has_no_effect_and_is_counted(edited_cells) -> None:
    first = int(edited_cells.cells.row(2)[0])
    beyond = int(edited_cells.cells.row(2)[30])
    up = effects_of(edited_cells, [(first,)], Move(3), np.array([2]))
    deleted = effects_of(edited_cells, [(beyond,)], Delete(), np.array([2]))
    for found in (up, deleted):
        assert not found.sums.sums.any()
        assert found.sums.cells.tolist() == [0]
        assert found.untouched.unchanged.tolist() == [1]
        assert np.isnan(found.sums.means).all()


def test_every_cell_is_counted_once_for_every_target(edited_cells) -> None:
    targets = [*all_genes(edited_cells), (10, 20), (5, 6, 7)]
    found = effects_of(edited_cells, targets)
    held = [set(cell.tolist()) for cell in edited_cells.cells.rows()]
    read = [set(cell[:GENES_READ].tolist()) for cell in edited_cells.cells.rows()]
    for number, target in enumerate(targets):
        has = sum(set(target) <= cell for cell in held)
        is_read = sum(
            set(target) <= h and bool(set(target) & r) for h, r in zip(held, read, strict=True)
        )
        assert found.untouched.without[number] == len(held) - has
        assert found.sums.cells[number] == is_read
        assert found.untouched.unchanged[number] == has - is_read


def test_a_cell_that_would_be_empty_is_counted_and_not_read(edited_cells) -> None:
    alone = Edited(
        edited_cells.model,
        Ragged.of([np.array([9]), *edited_cells.cells.rows()[1:]]),
        edited_cells.references,
        edited_cells.fates,
    )
    found = effects_of(alone, [(9,)])
    assert found.untouched.emptied.tolist() == [1]


def test_the_gene_beyond_the_cut_moves_in(edited_cells) -> None:
    cell = edited_cells.cells.row(2)
    edits = CellEdits(Ragged.of([cell]), [(int(cell[4]),)], Delete(), GENES_READ)
    (batch,) = edits.batches(8)
    expected = [*cell[:4], *cell[5 : GENES_READ + 1]]
    np.testing.assert_array_equal(batch.contexts.row(0), expected)


def test_the_order_of_the_cells_changes_no_bit(edited_cells) -> None:
    targets = all_genes(edited_cells)
    found = effects_of(edited_cells, targets)
    order = np.array([3, 1, 7, 0, 2, 6, 5, 4])
    again = effects_of(edited_cells, targets, order=order)
    np.testing.assert_array_equal(found.sums.sums, again.sums.sums)
    np.testing.assert_array_equal(found.base[order], again.base)


def test_processes_that_share_the_work_add_up_to_the_same_bits(edited_cells, monkeypatch) -> None:
    monkeypatch.setattr(module, "CONTEXTS_AT_ONCE", 16)
    targets = all_genes(edited_cells)
    found = effects_of(edited_cells, targets)
    monkeypatch.setattr(Processes, "add_up", lambda *_: None)
    parts = [
        effects_of(edited_cells, targets, processes=Processes(rank, 3)).sums for rank in range(3)
    ]
    np.testing.assert_array_equal(sum(part.sums for part in parts), found.sums.sums)
    np.testing.assert_array_equal(sum(part.counts for part in parts), found.sums.counts)
    assert all(part.cells.sum() for part in parts)


@pytest.mark.parametrize("size", [1, 7])
def test_batches_of_any_size_give_the_same(edited_cells, monkeypatch, size) -> None:
    targets = all_genes(edited_cells)
    found = effects_of(edited_cells, targets)
    monkeypatch.setattr(module, "CONTEXTS_AT_ONCE", size)
    again = effects_of(edited_cells, targets)
    np.testing.assert_allclose(found.sums.means, again.sums.means, atol=1e-6)


def test_an_interrupted_run_goes_on_where_it_was(edited_cells, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(module, "CONTEXTS_AT_ONCE", 16)
    monkeypatch.setattr(saved_sums, "SAVED_EVERY", 0.0)
    targets = all_genes(edited_cells)
    whole = effects_of(edited_cells, targets)
    path, read = tmp_path / "sums.npz", []

    def stop(number: int) -> None:
        read.append(number)
        if len(read) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        effects_of(edited_cells, targets, saved=SavedSums(path, "this"), on_contexts=stop)
    steps = []
    monkeypatch.setattr(
        module, "total_variation", lambda *rows: steps.append(1) or total_variation(*rows)
    )
    resumed = effects_of(edited_cells, targets, saved=SavedSums(path, "this"))
    np.testing.assert_array_equal(resumed.sums.sums, whole.sums.sums)
    np.testing.assert_array_equal(resumed.sums.counts, whole.sums.counts)
    assert len(steps) < -(-int(whole.sums.counts.sum()) // 16)  # some batches were not read again
    other = effects_of(edited_cells, targets, saved=SavedSums(path, "of something else"))
    np.testing.assert_array_equal(other.sums.counts, whole.sums.counts)


def test_gradients_flow_through_the_same_readouts(edited_cells) -> None:
    next_step = edited_cells.next_step()
    contexts = edited_cells.cells.truncated(GENES_READ)
    own = np.arange(len(contexts))
    vocab = edited_cells.model.required_vocab()
    table = edited_cells.model.rank_distributions(contexts, RANKS)[..., vocab.gene_ids]
    table = table.clone().requires_grad_()
    points = expected_points(edited_cells.model, contexts).requires_grad_()
    found = next_step.differentiable(table, points, own)
    np.testing.assert_allclose(
        found.detach().numpy(), next_step.read(contexts, own), rtol=1e-4, atol=1e-5
    )
    found[:, 0].sum().backward()
    assert table.grad.abs().sum() > 0
    if edited_cells.model.axes is not None:
        assert points.grad.abs().sum() > 0


def test_the_change_of_a_row_is_the_probability_that_goes_elsewhere() -> None:
    one = Rows(candidates=np.array([[3, 1, 2]]), probabilities=np.array([[0.5, 0.3, 0.2]]))
    other = Rows(candidates=np.array([[1, 3, 8]]), probabilities=np.array([[0.6, 0.3, 0.1]]))
    np.testing.assert_allclose(total_variation(one, other), [0.4])
    np.testing.assert_allclose(total_variation(one, one), [0.0], atol=1e-12)
