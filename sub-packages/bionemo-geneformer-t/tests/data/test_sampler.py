from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from bionemo.geneformer_t.data.sampler import CellBatchSampler


def deal(
    size: int, ranks: int, micro: int, *, epoch: int = 0, shuffle: bool = True
) -> list[list[list[tuple[int, int]]]]:
    """The batches of every rank."""
    dealt = []
    for rank in range(ranks):
        sampler = CellBatchSampler(
            TensorDataset(torch.zeros(size)), micro_batch_size=micro, num_replicas=ranks, rank=rank,
            seed=1, shuffle=shuffle,
        )  # fmt: skip
        sampler.set_epoch(epoch)
        dealt.append(list(sampler))
        assert len(dealt[-1]) == len(sampler)
    return dealt


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 7), st.integers(0, 3))
def test_an_epoch_deals_every_example_once(size: int, ranks: int, micro: int, epoch: int) -> None:
    dealt = deal(size, ranks, micro, epoch=epoch)
    assert len({len(batches) for batches in dealt}) == 1
    assert all(len(batch) <= micro for batch in chain.from_iterable(dealt))
    examples = list(chain.from_iterable(chain.from_iterable(dealt)))
    assert sorted(examples) == [(epoch, i) for i in range(size)]


@pytest.mark.parametrize("ranks", [2, 4])
def test_a_global_step_is_the_same_for_any_number_of_ranks(ranks: int) -> None:
    alone = deal(29, 1, 8)[0]
    together = deal(29, ranks, 8 // ranks)
    for step, batch in enumerate(alone):
        assert set(batch) == set(chain.from_iterable(rank[step] for rank in together))


def test_short_last_steps_are_shared_out_evenly() -> None:
    assert [len(rank[-1]) for rank in deal(10, 4, 2)] == [1, 1, 0, 0]
    assert [len(rank[-1]) for rank in deal(14, 4, 2)] == [2, 2, 1, 1]


def test_each_epoch_has_its_own_order_and_always_the_same() -> None:
    orders = [deal(50, 1, 50, epoch=epoch)[0][0] for epoch in (0, 1, 0)]
    assert orders[0] == orders[2]
    assert [i for _, i in orders[0]] != [i for _, i in orders[1]]


def test_without_shuffling_the_order_and_the_epoch_are_fixed() -> None:
    assert deal(5, 1, 2, epoch=3, shuffle=False)[0] == [
        [(0, 0), (0, 1)],
        [(0, 2), (0, 3)],
        [(0, 4)],
    ]


def test_batches_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="micro_batch_size must be at least 1; got 0"):
        deal(5, 1, 0)
