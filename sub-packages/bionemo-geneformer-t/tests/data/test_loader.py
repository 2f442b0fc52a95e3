"""Every rank gets its share of the batches; groups of batches change none of them."""

from collections.abc import Callable
from dataclasses import fields
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.data import loader as loaders
from bionemo.geneformer_t.data.batching import Batching, BySize, ByTokens
from bionemo.geneformer_t.data.loader import CellBatchSampler, PairLoader
from bionemo.geneformer_t.data.temporal_datamodule import TemporalGeneformerDataModule


def loader_of(data_dir: Path, **settings: int) -> PairLoader:
    return TemporalGeneformerDataModule(data_dir, **settings).train_dataloader()


def content(batch: TemporalBatch) -> list[list[int]]:
    return [getattr(batch, field.name).tolist() for field in fields(TemporalBatch)]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("pairs", [1, 11, 64])
@pytest.mark.parametrize("size", [{"micro_batch_size": 4}, {"max_tokens_per_batch": 150}])
@pytest.mark.slow
def test_the_size_of_groups_changes_no_batch(
    tiny_data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    num_workers: int,
    pairs: int,
    size: dict[str, int],
) -> None:
    monkeypatch.setattr(loaders, "PAIRS_AT_ONCE", pairs)
    loader = loader_of(tiny_data_dir, num_workers=num_workers, **size)
    dataset = TemporalGeneformerDataModule(tiny_data_dir, **size).train
    expected = [content(dataset.batch(asked)) for asked in loader.sampler]
    assert len(loader) == len(expected) >= 8
    for _ in range(2):  # the same workers again
        assert [content(batch) for batch in loader] == expected


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_loader_goes_on_inside_a_group(tiny_data_dir: Path, num_workers: int) -> None:
    whole = [content(batch) for batch in loader_of(tiny_data_dir, micro_batch_size=2)]
    loader = loader_of(tiny_data_dir, micro_batch_size=2, num_workers=num_workers)
    assert loader.batch_size is not None
    assert loader.batch_size > len(whole)  # one group is the epoch
    list(islice(loader, 3))  # an epoch that is left early leaves nothing behind
    loader.resume(0, 7)
    assert [content(batch) for batch in loader] == whole[7:]


@pytest.mark.parametrize(("size", "at_once"), [(1, 64), (8, 8), (20, 3), (39, 2)])
def test_groups_hold_as_many_pairs_for_any_size_of_batches(
    tiny_data_dir: Path, size: int, at_once: int
) -> None:
    assert loader_of(tiny_data_dir, micro_batch_size=size).batch_size == at_once


def test_as_many_batches_are_ready_as_were_asked_for(tiny_data_dir: Path) -> None:
    asked = {"micro_batch_size": 32, "num_workers": 1}
    few = loader_of(tiny_data_dir, prefetch_factor=1, **asked)
    many = loader_of(tiny_data_dir, prefetch_factor=9, **asked)
    assert few.prefetch_factor == 2
    assert many.prefetch_factor is not None
    assert many.batch_size is not None
    assert many.prefetch_factor * many.batch_size >= 9


def costs_of(size: int) -> np.ndarray:
    """Lengths of cells, in no order."""
    return np.random.default_rng(size).integers(20, 100, size)


def by_size(size: int, ranks: int, micro: int, accumulated: int = 1) -> Batching:
    return BySize(costs=costs_of(size), size=micro, ranks=ranks, accumulated=accumulated)


def by_tokens(size: int, ranks: int, micro: int) -> Batching:
    return ByTokens(costs=costs_of(size), budget=100 * micro, ranks=ranks)


def deal(
    size: int,
    ranks: int,
    micro: int,
    *,
    kind: Callable[..., Batching] = by_size,
    epoch: int = 0,
    shuffle: bool = True,
    **settings: int,
) -> list[list[list[tuple[int, int]]]]:
    """The batches of every rank."""
    dealt = []
    for rank in range(ranks):
        sampler = CellBatchSampler(
            TensorDataset(torch.zeros(size)), kind(size, ranks, micro, **settings),
            num_replicas=ranks, rank=rank, seed=1, shuffle=shuffle,
        )  # fmt: skip
        sampler.set_epoch(epoch)
        dealt.append(list(sampler))
        assert len(dealt[-1]) == len(sampler)
    return dealt


@pytest.mark.parametrize("kind", [by_size, by_tokens])
@pytest.mark.parametrize("shuffle", [True, False])
@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 7), st.integers(0, 3))
def test_an_epoch_deals_every_example_once(
    kind: Callable[..., Batching], shuffle: bool, size: int, ranks: int, micro: int, epoch: int
) -> None:
    dealt = deal(size, ranks, micro, kind=kind, epoch=epoch, shuffle=shuffle)
    assert len({len(batches) for batches in dealt}) == 1
    examples = list(chain.from_iterable(chain.from_iterable(dealt)))
    assert sorted(examples) == [(epoch if shuffle else 0, i) for i in range(size)]
    costs = costs_of(size)
    for batch in chain.from_iterable(dealt):
        if kind is by_size:
            assert len(batch) <= micro
        else:
            assert costs[[i for _, i in batch]].sum() <= 100 * micro


@pytest.mark.parametrize("kind", [by_size, by_tokens])
@given(st.integers(0, 9))
def test_a_resumed_epoch_goes_on_with_the_batch_that_is_next(
    kind: Callable[..., Batching], seen: int
) -> None:
    for rank in range(2):
        sampler = CellBatchSampler(
            TensorDataset(torch.zeros(50)), kind(50, 2, 3), num_replicas=2, rank=rank
        )
        sampler.set_epoch(4)
        whole = list(sampler)
        sampler.resume(4, seen)
        assert list(sampler) == whole[seen:]
        sampler.set_epoch(5)
        assert len(list(sampler)) == len(whole)


@pytest.mark.parametrize("ranks", [2, 4])
def test_a_global_step_is_the_same_for_any_number_of_ranks(ranks: int) -> None:
    alone = deal(29, 1, 8)[0]
    together = deal(29, ranks, 8 // ranks)
    for step, batch in enumerate(alone):
        assert set(batch) == set(chain.from_iterable(rank[step] for rank in together))


@given(st.integers(1, 80), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]))
def test_an_optimizer_step_is_the_same_however_it_is_cut(
    size: int, ranks: int, accumulated: int
) -> None:
    alone = deal(size, 1, 16)[0]
    cut = deal(size, ranks, 16 // ranks // accumulated, accumulated=accumulated)
    for step, batch in enumerate(alone):
        here = slice(step * accumulated, (step + 1) * accumulated)
        assert set(batch) == set(chain.from_iterable(chain(*(rank[here] for rank in cut))))


def test_short_last_steps_are_shared_out_evenly() -> None:
    assert sorted(len(rank[-1]) for rank in deal(10, 4, 2)) == [0, 0, 1, 1]
    assert sorted(len(rank[-1]) for rank in deal(14, 4, 2)) == [1, 1, 2, 2]


@pytest.mark.parametrize("kind", [by_size, by_tokens])
def test_each_epoch_has_its_own_batches_and_always_the_same(kind: Callable[..., Batching]) -> None:
    epochs = [deal(50, 1, 5, kind=kind, epoch=epoch)[0] for epoch in (0, 1, 0)]
    assert epochs[0] == epochs[2]
    company = [{frozenset(i for _, i in batch) for batch in epoch} for epoch in epochs]
    assert not company[0] & company[1]


def test_without_shuffling_the_order_and_the_epoch_are_fixed() -> None:
    assert deal(5, 1, 2, epoch=3, shuffle=False)[0] == [
        [(0, 0), (0, 1)],
        [(0, 2), (0, 3)],
        [(0, 4)],
    ]
