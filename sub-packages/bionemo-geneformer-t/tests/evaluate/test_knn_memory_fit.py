"""The memory searches where validation cells are predicted best, and every way answers alike."""

from dataclasses import replace

import numpy as np
import pytest
from random_axes import random_axes

from bionemo.geneformer_t.evaluate import knn_memory_fit as module
from bionemo.geneformer_t.evaluate.evaluation_pairs import CellPairs
from bionemo.geneformer_t.evaluate.knn_memory_fit import fit_memory, index_of_next_cells
from bionemo.geneformer_t.fates.candidates import Candidates
from bionemo.geneformer_t.fates.context_tables import context_tables
from bionemo.geneformer_t.inference.checkpoint import load_model, open_split
from bionemo.geneformer_t.inference.next_cell import genes_per_cell
from bionemo.geneformer_t.model.knn_memory import CANONICAL, HIDDEN, NEXT
from bionemo.geneformer_t.ragged import Ragged


@pytest.fixture
def model(untrained_checkpoint):
    model = load_model(untrained_checkpoint)
    model.axes = random_axes(len(model.vocab), genes_per_cell(model))
    return model.eval()


@pytest.fixture
def splits(model, tiny_data_dir) -> list[CellPairs]:
    return [
        CellPairs.from_dataset(open_split(model, tiny_data_dir / name)) for name in ("train", "val")
    ]


def test_next_cells_are_found_where_they_are(model, splits) -> None:
    index = index_of_next_cells(splits[0], model.axes, np.random.default_rng(0))
    cells = np.unique(splits[0].following)
    assert len(index) == len(cells)
    genes = [splits[0].encode(int(cell)) for cell in cells]
    points = model.axes.observed(Ragged.of(genes))
    for number, (cell, point) in enumerate(zip(genes, points, strict=True)):
        assert index.nearest(point, 1).tolist() == [number]
        (found,), weights = index.next_cells(np.array([number]))
        held = index.genes[index.gene_offsets[found] : index.gene_offsets[found + 1]]
        np.testing.assert_array_equal(held, cell[: splits[0].max_genes])
        assert weights == pytest.approx(1)


def test_cells_that_were_drawn_are_where_the_measured_one_is(model, splits) -> None:
    measured = splits[0]
    first = int(max(measured.current.max(), measured.following.max())) + 1
    twice = np.repeat(measured.following, 2)
    drawn = replace(
        measured,
        encode=lambda row: measured.encode(row if row < first else (row - first) // 2)[::-1],
        current=np.repeat(measured.current, 2),
        following=first + 2 * twice + np.tile([0, 1], len(measured.following)),
        weights=np.repeat(measured.weights / 2, 2),
        measured=twice,
    )
    index = index_of_next_cells(drawn, model.axes, np.random.default_rng(0))
    assert len(index) == len(np.unique(measured.following))
    assert (np.diff(index.edge_offsets) == 2).all()
    np.testing.assert_allclose(index.shares, 0.5)
    kept = drawn.keep(np.arange(10))
    np.testing.assert_array_equal(kept.measured, twice[:10])


@pytest.mark.parametrize("space", [HIDDEN, CANONICAL, NEXT])
def test_whole_distributions_and_single_entries_agree_in_every_space(
    model, splits, space, monkeypatch
) -> None:
    def only(queries, **settings):
        chosen = [replace(one, searches={space: one.searches[space]}) for one in queries]
        return fit_knn(chosen, **settings)

    fit_knn = module.fit_knn
    monkeypatch.setattr(module, "fit_knn", only)
    memory = fit_memory(model, *splits, np.random.default_rng(0))
    assert memory.mixing.space == space
    mixing = replace(memory.mixing, network=0.5, memory=0.4, uniform=0.1)
    model.memory = replace(memory, mixing=mixing)
    cells = Ragged.of([target.context for target in splits[1].targets()][:5])
    whole = model.rank_distributions(cells, 8).numpy()
    np.testing.assert_allclose(np.exp(whole).sum(axis=-1), 1, rtol=1e-5)
    candidates = Candidates.of(cells, 8, model.vocab)
    for batch, (table,) in context_tables(model, candidates, cells, [model.memory]):
        ranks, genes = np.divmod(candidates.entries, len(model.vocab))
        expected = whole[batch][:, ranks, genes].T
        np.testing.assert_allclose(table[:-1].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_memory_along_axes_needs_them(model, splits) -> None:
    memory = fit_memory(model, *splits, np.random.default_rng(0))
    model.memory = replace(memory, mixing=replace(memory.mixing, space=NEXT))
    model.axes = None
    with pytest.raises(ValueError, match="this model has no canonical axes"):
        model.rank_distributions(Ragged.of([np.array([5, 6])]), 2)


def test_a_model_without_axes_searches_by_hidden_states(model, splits) -> None:
    model.axes = None
    assert fit_memory(model, *splits, np.random.default_rng(0)).mixing.space == HIDDEN
