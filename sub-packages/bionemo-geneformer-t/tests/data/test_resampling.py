"""Drawn cells have the mean expression of similar cells, and depend on their key alone."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data import resampling
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.resampling import CellResampler, similar_cells
from bionemo.geneformer_t.data.sampling import stream_keys
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset

SETTINGS = PairSettings(resampling_neighbors=5)


@pytest.fixture
def train(tiny_data_dir: Path) -> TemporalGeneformerDataset:
    return TemporalGeneformerDataset.from_folder(tiny_data_dir / "train", settings=SETTINGS)


def keys(number: int) -> np.ndarray:
    return stream_keys(3, np.arange(number), np.zeros(number, dtype=np.int64))


def test_a_gene_is_drawn_as_often_as_the_mean_of_similar_cells_has_it(
    train: TemporalGeneformerDataset,
) -> None:
    cell, number = 7, 4000
    similar = similar_cells(train.tokens, np.arange(40), 5)[cell]
    counts = np.zeros((5, 30))
    for row, other in zip(counts, similar, strict=True):
        values, columns = train.tokens.store.row(int(other))
        row[columns] = values
    totals = counts.sum(axis=1, keepdims=True)
    assert similar[0] == cell
    expected = 1 - np.exp(-totals[0] * (counts / totals).mean(axis=0))
    resampler = CellResampler(train.tokens, np.arange(40), 5)
    draws = resampler.draw(np.full(number, cell), keys(number))
    token_of = train.tokens.token_of_column
    found = np.bincount(np.concatenate(draws), minlength=len(train.vocab))[token_of] / number
    known = token_of >= 0
    # five standard errors of a frequency
    assert np.abs(found - expected)[known].max() < 5 * 0.5 / np.sqrt(number)
    assert all(len(np.unique(genes)) == len(genes) for genes in draws)


def test_a_draw_depends_on_its_cell_and_key_alone(train: TemporalGeneformerDataset) -> None:
    resampler = CellResampler(train.tokens, np.arange(40), 5)
    cells, of = np.array([3, 7, 3, 30]), keys(4)
    together = resampler.draw(cells, of)
    for i in range(4):
        (alone,) = resampler.draw(cells[i : i + 1], of[i : i + 1])
        np.testing.assert_array_equal(alone, together[i])
    assert not np.array_equal(together[0], together[2])


@pytest.mark.parametrize("room", [0, 900])
def test_draws_are_the_same_where_few_means_are_kept(train, monkeypatch, room) -> None:
    cells, of = np.array([3, 7, 3, 30, 8, 9]), keys(6)
    expected = CellResampler(train.tokens, np.arange(40), 5).draw(cells, of)
    monkeypatch.setattr(resampling, "MAX_KEPT", room)
    forgetful = CellResampler(train.tokens, np.arange(40), 5)
    for _ in range(2):
        for found, genes in zip(forgetful.draw(cells, of), expected, strict=True):
            np.testing.assert_array_equal(found, genes)
    assert sum(columns.nbytes + mean.nbytes for columns, mean in forgetful._kept.values()) <= room


def test_cells_outside_the_pool_have_no_influence(train: TemporalGeneformerDataset) -> None:
    pool = np.arange(0, 40, 2)
    similar = similar_cells(train.tokens, pool, 6)
    assert similar.shape == (20, 6)
    np.testing.assert_array_equal(similar[:, 0], pool)
    assert np.isin(similar, pool).all()
    assert all(len(np.unique(row)) == 6 for row in similar)


def test_an_example_is_the_same_every_time_and_another_in_the_next_epoch(
    train: TemporalGeneformerDataset,
) -> None:
    one, again, next_epoch = train[0, 5], train[0, 5], train[1, 5]
    np.testing.assert_array_equal(one.next_cells[0].labels, again.next_cells[0].labels)
    everything = PairSettings(resampling_neighbors=5, mask_prob=1.0)
    fully = TemporalGeneformerDataset(train.tokens, train.graph, train.vocab, everything)
    orders = {fully[epoch, 5].next_cells[0].labels.tobytes() for epoch in range(8)}
    assert len(orders) == 8
    np.testing.assert_array_equal(one.context_ids, next_epoch.context_ids)
    together = train.batch([(0, i) for i in range(10)])
    labels = np.concatenate([train[0, i].next_cells[0].labels for i in range(10)])
    np.testing.assert_array_equal(together.scored_labels.numpy(), labels)


def test_no_example_has_more_tokens_than_are_planned_for(train: TemporalGeneformerDataset) -> None:
    everything = PairSettings(resampling_neighbors=5, mask_prob=1.0)
    fully = TemporalGeneformerDataset(train.tokens, train.graph, train.vocab, everything)
    most = fully.most_tokens()
    for epoch in range(5):
        for i in range(len(fully)):
            example = fully[epoch, i]
            assert len(example.context_ids) + len(example.next_cells[0].ids) <= most[i]


def test_validation_is_on_cells_as_they_were_measured(tiny_data_dir: Path) -> None:
    data = TemporalGeneformerDataModule(tiny_data_dir, SETTINGS, token_cache=False)
    data.setup("fit")
    assert data.train.resampler is not None
    assert data.val is not None
    assert data.val.resampler is None
    assert data.val.settings.resampling_neighbors == 0


def test_resampling_is_refused_where_there_are_no_next_cells() -> None:
    with pytest.raises(ValueError, match="resampling_neighbors is 5, but under objective 'mlm'"):
        PairSettings(resampling_neighbors=5, objective="mlm")
    with pytest.raises(ValueError, match="resampling_neighbors must not be negative; got -1"):
        PairSettings(resampling_neighbors=-1)


def test_similar_cells_are_found_once_and_not_by_workers(
    tiny_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = []

    def counted(tokens: CellTokens, pool: np.ndarray, number: int) -> np.ndarray:
        searches.append(number)
        return similar_cells(tokens, pool, number)

    def batches(data: TemporalGeneformerDataModule) -> list[np.ndarray]:
        return [batch.scored_labels.numpy() for batch in data.train_dataloader()]

    monkeypatch.setattr(resampling, "similar_cells", counted)
    alone, shared = (
        TemporalGeneformerDataModule(tiny_data_dir, SETTINGS, token_cache=False, num_workers=n)
        for n in (0, 2)
    )
    for data in (alone, shared):
        data.setup("fit")
        assert data.val is not None
        assert data.val.resampler is None
    assert searches == [5, 5]
    expected = batches(alone)
    monkeypatch.setattr(resampling, "similar_cells", None)  # forks and copies that search now fail
    for ours, theirs in zip(batches(shared), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    copy = pickle.loads(pickle.dumps(shared.train))
    some = [(1, i) for i in range(len(copy))]
    np.testing.assert_array_equal(
        copy.batch(some).scored_labels, shared.train.batch(some).scored_labels
    )


def test_a_dataset_that_scores_searches_for_no_similar_cells(
    train: TemporalGeneformerDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling, "similar_cells", None)
    settings = train.settings.for_scoring()
    scoring = TemporalGeneformerDataset(train.tokens, train.graph, train.vocab, settings)
    assert scoring.resampler is None
    assert scoring.batch([(0, 0), (0, 1)]).scored_labels.numel()
