"""Processes that share one piece of work, as `torchrun` starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Processes:
    """Which process this is, and how many there are."""

    rank: int = 0
    number: int = 1

    def add_up(self, *arrays: np.ndarray) -> None:
        """Replace whole numbers by their sums over all processes, in place."""
        if self.number == 1:
            return
        for array in arrays:
            summed = torch.from_numpy(array)  # shares its memory
            dist.all_reduce(summed)


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """All processes that were started together; this one alone where none were.

    `torchrun` tells each by RANK and WORLD_SIZE. They talk over Gloo, as what they share is small.
    """
    number = int(os.environ.get("WORLD_SIZE", "1"))
    if number == 1:
        yield Processes()
        return
    dist.init_process_group("gloo")
    try:
        yield Processes(dist.get_rank(), number)
    finally:
        dist.destroy_process_group()
