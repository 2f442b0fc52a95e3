"""PairLoader: batches for training, made several at a time by each worker, returned one by one.

A batch of a few pairs is small for NumPy and for the pipe between two processes: most of its time
would be the fixed cost of calls and messages. So a worker makes a group of batches that follow each
other in one go. Batches are a pure function of (seed, epoch, cell), so groups change none of them,
and a run can resume with any batch of a group.
"""

import math
from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, Dataset, DistributedSampler

from bionemo.geneformer_t.batch import TemporalBatch
from bionemo.geneformer_t.data.batching import Batching
from bionemo.geneformer_t.data.masked_pairs import PackedBatches
from bionemo.geneformer_t.data.sampling import generator
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset

if TYPE_CHECKING:
    import lightning as L

PAIRS_AT_ONCE = 64
"""Pairs of a group, nearly. More gain little, and their arrays outgrow the caches of a core."""
_GROUPS_READY = 2
"""Groups that each worker has ready at least, or it would wait for its next order."""


class CellBatchSampler(DistributedSampler[list[tuple[int, int]]]):
    """Micro-batches as lists of (epoch, example), a pure function of (seed, epoch).

    An epoch holds every example once. All ranks get as many batches, or they would wait for each
    other forever; in the last step some may get fewer examples or an empty list.

    It is a `DistributedSampler` only so that Lightning does not put another one in its place.

    Args:
        dataset: What is sampled; only its length matters.
        batching: How its examples become batches of all ranks.
        num_replicas: Ranks.
        rank: This process.
        seed: Decides the orders.
        shuffle: Draw a new order in each epoch. Otherwise the order is that of the data and the
            epoch is always 0, so that validation is the same every time.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batching: Batching,
        *,
        num_replicas: int = 1,
        rank: int = 0,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle=shuffle, seed=seed)
        self.batching = batching
        self._length = batching.number // num_replicas
        self._seen: tuple[int, int] = (0, 0)

    def resume(self, epoch: int, batches: int) -> None:
        """Start in this epoch, without the batches that were used before a restart."""
        self.set_epoch(epoch)
        self._seen = (epoch, batches)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch if self.shuffle else 0
        # No cell has row -1, so this generator is none of the cells'.
        rng = generator(self.seed, epoch, -1)
        of_all = self.batching.shuffled(rng) if self.shuffle else self.batching.in_order()
        epoch_seen, seen = self._seen
        mine = islice(of_all, self.rank, None, self.num_replicas)
        for batch in islice(mine, seen if epoch == epoch_seen else 0, None):
            yield [(epoch, i) for i in batch.tolist()]


class PairLoader(DataLoader[Any]):
    """The batches of a sampler. It may be resumed inside an epoch; `next_batch` says where.

    What `DataLoader` takes for samples are batches here, and its batches are groups of them. Build
    one with `pair_loader`.
    """

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[TemporalBatch]:  # type: ignore[override]  # no need of a class
        return chain.from_iterable(map(PackedBatches.batches, super().__iter__()))

    def state_dict(self) -> dict[str, Any]:
        """Nothing, but that there is one tells Lightning that it may resume inside an epoch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing back: the trainer's own progress is all it takes."""

    @property
    def _batches(self) -> CellBatchSampler:
        assert isinstance(self.sampler, CellBatchSampler)
        return self.sampler

    def resume(self, epoch: int, batches: int) -> None:
        """Start in this epoch, without the batches that were used before a restart."""
        self._batches.resume(epoch, batches)


def pair_loader(
    dataset: TemporalGeneformerDataset,
    sampler: CellBatchSampler,
    *,
    num_workers: int,
    prefetch_factor: int,
    pin_memory: bool,
) -> PairLoader:
    """The loader of a sampler's batches.

    Args:
        dataset: Makes them.
        sampler: Says which cells make up each.
        num_workers: Processes that make them; 0 makes them in this one.
        prefetch_factor: Batches that each of these has ready at least.
        pin_memory: Hand them over in page-locked memory.
    """
    pairs = len(dataset) * dataset.settings.next_cells_per_cell
    at_once = max(1, round(PAIRS_AT_ONCE * sampler.batching.number / pairs))
    groups = max(_GROUPS_READY, math.ceil(prefetch_factor / at_once))
    return PairLoader(
        _Groups(dataset),
        batch_size=at_once,
        sampler=sampler,
        collate_fn=_as_it_is,
        num_workers=num_workers,
        prefetch_factor=groups if num_workers else None,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
    )


def next_batch(trainer: "L.Trainer") -> tuple[int, int]:
    """The epoch and the batch in it that training goes on with.

    `current_epoch` does not tell: it counts an epoch after its last checkpoint was written.
    """
    epochs = trainer.fit_loop.epoch_progress.current
    batches = trainer.fit_loop.epoch_loop.batch_progress
    if batches.is_last_batch:
        return epochs.ready, 0
    return epochs.processed, batches.current.processed


class _Groups(Dataset[Any]):
    """The dataset as `DataLoader` asks for many samples at once, of which each is a batch."""

    def __init__(self, dataset: TemporalGeneformerDataset) -> None:
        self.dataset = dataset

    def __getitems__(self, batches: list[list[tuple[int, int]]]) -> PackedBatches:
        return self.dataset.batches(batches)


def _as_it_is(group: Any) -> Any:
    return group
