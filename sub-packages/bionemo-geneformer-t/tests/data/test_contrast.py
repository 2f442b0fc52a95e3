"""What the contrastive term compares: shared ranks, the genes there, and who is left out."""

from dataclasses import fields, replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from bionemo.geneformer_t.batch import NO_GENE, TemporalBatch
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.contrast import NUM_RANKS, draw_ranks, genes_at, other_sources
from bionemo.geneformer_t.data.sampling import stream_keys
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.ragged import Ragged

SETTINGS = PairSettings(seq_length=64, next_cells_per_cell=2, contrastive_weight=1.0)
BATCH = [(3, 5), (3, 0), (3, 7), (3, 6)]
"""Epoch and example; successors are the two cells behind each, so some are shared."""


def keys(epoch: int, *cells: int) -> np.ndarray:
    return stream_keys(0, np.full(len(cells), epoch), np.array(cells, dtype=np.int64))


@pytest.fixture
def dataset(tiny_data_dir) -> TemporalGeneformerDataset:
    return TemporalGeneformerDataset.from_folder(tiny_data_dir / "train", settings=SETTINGS)


def test_ranks_are_drawn_without_replacement_for_each_batch_and_epoch():
    ranks = draw_ranks(keys(0, 4, 9), 300)
    assert len(ranks) == NUM_RANKS
    assert (np.diff(ranks) > 0).all()
    assert ranks.min() >= 1
    assert ranks.max() <= 300
    assert ranks.tolist() == draw_ranks(keys(0, 4, 7, 8), 300).tolist()  # the first cell decides
    assert ranks.tolist() != draw_ranks(keys(0, 9, 4), 300).tolist()
    assert ranks.tolist() != draw_ranks(keys(1, 4, 9), 300).tolist()
    assert draw_ranks(keys(0, 4), 5).tolist() == [1, 2, 3, 4, 5]
    assert draw_ranks(keys(0, 4), 0).tolist() == draw_ranks(keys(0), 0).tolist() == []


def test_every_rank_is_as_probable_as_any_other():
    drawn = np.concatenate([draw_ranks(keys(epoch, 1), 4 * NUM_RANKS) for epoch in range(400)])
    counts = np.bincount(drawn, minlength=4 * NUM_RANKS + 1)[1:]
    # 400 draws with probability 1/4: standard deviation 8.7; 384 ranks stay within 4.5 of these
    assert np.abs(counts - 100).max() < 40


def test_genes_are_those_at_the_ranks_and_short_cells_have_fewer():
    cells = Ragged.of([np.array([7, 8, 9]), np.array([5]), np.zeros(0, dtype=np.int64)])
    expected = [[7, 9, NO_GENE], [5, NO_GENE, NO_GENE], [NO_GENE] * 3]
    assert genes_at(cells, np.array([1, 3, 4])).tolist() == expected


def test_left_out_are_the_other_cells_that_a_next_cell_follows():
    rng = np.random.default_rng(0)
    for _ in range(20):
        matrix = sp.random_array((12, 12), density=0.3, rng=rng)
        graph, _ = NeighborGraph.from_matrix(matrix)
        cells = rng.choice(12, 5, replace=False)
        context_of = np.sort(rng.integers(5, size=7))
        next_cells = rng.integers(12, size=7)
        found = other_sources(graph, cells, context_of, next_cells)
        expected = [
            i * 7 + j
            for i in range(5)
            for j in range(7)
            if i != context_of[j] and next_cells[j] in graph.successors(int(cells[i]))[0]
        ]
        assert found.tolist() == expected


def test_a_batch_has_the_genes_of_its_own_next_cells_at_shared_ranks(dataset):
    batch = dataset.batch(BATCH)
    ranks = batch.contrast_ranks.tolist()
    genes = batch.contrast_genes.view(len(batch.next_cells), len(ranks)).tolist()
    for row, cell in zip(genes, batch.next_cells.tolist(), strict=True):
        whole = dataset.tokens.rows_of(np.array([cell]))[0][: SETTINGS.genes_per_cell].tolist()
        assert row == [whole[rank - 1] if rank <= len(whole) else NO_GENE for rank in ranks]
    # cell 7 follows cells 5 and 6, cell 8 follows 6 and 7
    pairs = [divmod(int(i), len(batch.next_cells)) for i in batch.contrast_left_out]
    named = {(int(batch.cells[i]), int(batch.next_cells[j])) for i, j in pairs}
    assert named == {(5, 7), (6, 7), (6, 8), (7, 8)}


def test_nothing_else_of_a_batch_is_changed(dataset, tiny_data_dir):
    plain = TemporalGeneformerDataset.from_folder(
        tiny_data_dir / "train", settings=replace(SETTINGS, contrastive_weight=0.0)
    )
    with_term, without = dataset.batch(BATCH), plain.batch(BATCH)
    for field in fields(TemporalBatch):
        one, other = (getattr(batch, field.name) for batch in (with_term, without))
        if field.name.startswith("contrast_"):
            assert len(one) > len(other) == 0
        else:
            assert torch.equal(one, other), field.name


def test_the_budget_of_a_batch_counts_the_ranks_that_are_asked_for(dataset, tiny_data_dir):
    plain = TemporalGeneformerDataset.from_folder(
        tiny_data_dir / "train", settings=replace(SETTINGS, contrastive_weight=0.0)
    )
    more = dataset.most_tokens() - plain.most_tokens()
    assert more.tolist() == [SETTINGS.genes_per_cell] * len(dataset)  # fewer than NUM_RANKS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"objective": "mlm"}, "under objective 'mlm' there are no next cells to compare"),
        ({"token_selection_policy": "union"}, "genes of a next cell depend on its current cell"),
        ({"contrastive_weight": -0.5}, "contrastive_weight must not be negative; got -0.5"),
    ],
)
def test_where_nothing_can_be_compared_the_weight_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        PairSettings(**{"contrastive_weight": 1.0, **given})


def test_cells_are_scored_without_the_term():
    assert SETTINGS.for_scoring().contrastive_weight == 0
