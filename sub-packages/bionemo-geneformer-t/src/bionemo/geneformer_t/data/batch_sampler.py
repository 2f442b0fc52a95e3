"""CellBatchSampler: which cells make up each micro-batch of each rank, for any number of ranks."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import Dataset, DistributedSampler

from bionemo.geneformer_t.data.batching import Batching
from bionemo.geneformer_t.data.random_streams import generator


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
        chance = generator(self.seed, epoch, -1)
        of_all = self.batching.shuffled(chance) if self.shuffle else self.batching.in_order()
        epoch_seen, seen = self._seen
        mine = islice(of_all, self.rank, None, self.num_replicas)
        for batch in islice(mine, seen if epoch == epoch_seen else 0, None):
            yield [(epoch, i) for i in batch.tolist()]
