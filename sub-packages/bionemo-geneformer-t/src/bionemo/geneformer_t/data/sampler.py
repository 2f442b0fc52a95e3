"""CellBatchSampler: which cells make up each micro-batch of each rank, for any number of ranks."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Dataset, DistributedSampler

from bionemo.geneformer_t.data.randomness import generator


class CellBatchSampler(DistributedSampler[list[tuple[int, int]]]):
    """Micro-batches as lists of (epoch, example), a pure function of (seed, epoch).

    One order of all examples is cut into global steps of `num_replicas * micro_batch_size`, and
    each step is dealt to the ranks in turn. So an epoch holds every example once, and a global step
    holds the same examples whatever the number of ranks, if micro-batches times ranks is the same.
    The last step may be short: some ranks then get fewer examples or an empty list, but all ranks
    get as many batches, or they would wait for each other forever.

    It is a `DistributedSampler` only so that Lightning does not put another one in its place.

    Args:
        dataset: What is sampled; only its length matters.
        micro_batch_size: Examples for each rank and step.
        num_replicas: Ranks.
        rank: This process.
        seed: Decides the orders.
        shuffle: Draw a new order in each epoch. Otherwise the order is that of the data and the
            epoch is always 0, so that validation is the same every time.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        micro_batch_size: int,
        num_replicas: int = 1,
        rank: int = 0,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle=shuffle, seed=seed)
        if micro_batch_size < 1:
            raise ValueError(f"micro_batch_size must be at least 1; got {micro_batch_size}")
        self.micro_batch_size = micro_batch_size
        self.num_examples = len(dataset)  # type: ignore[arg-type]
        self._seen: tuple[int, int] = (0, 0)

    @property
    def examples_per_step(self) -> int:
        """Examples of all ranks in one step."""
        return self.num_replicas * self.micro_batch_size

    def resume(self, epoch: int, batches: int) -> None:
        """Start in this epoch, without the batches that were used before a restart."""
        self.set_epoch(epoch)
        self._seen = (epoch, batches)

    def __len__(self) -> int:
        return math.ceil(self.num_examples / self.examples_per_step)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch if self.shuffle else 0
        order = np.arange(self.num_examples)
        if self.shuffle:
            # No cell has row -1, so the order's generator is none of the cells'.
            order = generator(self.seed, epoch, -1).permutation(self.num_examples)
        epoch_seen, seen = self._seen
        first = seen * self.examples_per_step if epoch == epoch_seen else 0
        for start in range(first, self.num_examples, self.examples_per_step):
            step = order[start : start + self.examples_per_step]
            yield [(epoch, int(i)) for i in step[self.rank :: self.num_replicas]]
