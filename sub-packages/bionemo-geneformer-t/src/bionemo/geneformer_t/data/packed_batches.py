"""PackedBatches: some batches in one array, as they travel from the workers to training.

PyTorch hands each tensor over in a shared-memory file of its own, which for nine small tensors
costs more than making the batch. Here several batches cross the workers' pipe as one array, and
what the training process does is to cut it: a batch is nine views.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Int32, Integer
from numpy import ndarray
from torch import Tensor

from bionemo.geneformer_t.batch import TemporalBatch, pack

_NAMES = tuple(field.name for field in fields(TemporalBatch))


@dataclass(frozen=True, kw_only=True)
class PackedBatches:
    """The tensors of some batches, one behind the other."""

    values: Int[Tensor, " total"]
    lengths: tuple[int, ...]
    """Of each tensor, in the order of the fields of `TemporalBatch`, batch by batch."""

    @classmethod
    def of(cls, batches: Sequence[Mapping[str, Integer[ndarray, " _"]]]) -> "PackedBatches":
        """Join batches, each given as the arrays of its fields."""
        arrays = [batch[name] for batch in batches for name in _NAMES]
        values = np.concatenate(arrays, dtype=np.int64)
        return cls(values=torch.from_numpy(values), lengths=tuple(map(len, arrays)))

    @classmethod
    def empty(cls, number: int) -> "PackedBatches":
        """So many batches without a pair."""
        nothing = pack([])
        return cls.of([{name: getattr(nothing, name).numpy() for name in _NAMES}] * number)

    def batches(self) -> Iterator[TemporalBatch]:
        """Each batch, in the memory of all of them."""
        tensors = self.values.split(self.lengths)
        for first in range(0, len(tensors), len(_NAMES)):
            mine = tensors[first : first + len(_NAMES)]
            yield TemporalBatch(**dict(zip(_NAMES, mine, strict=True)))

    def pin_memory(self) -> "PackedBatches":
        """The same batches in page-locked memory, for asynchronous copies to a GPU."""
        return PackedBatches(values=self.values.pin_memory(), lengths=self.lengths)

    def __reduce__(self) -> tuple[Callable[..., "PackedBatches"], tuple[Any, ...]]:
        # Half the bytes: tokens, ranks, offsets and rows of cells are all below 2^31.
        return _from_array, (self.values.numpy().astype(np.int32), self.lengths)


def _from_array(values: Int32[ndarray, " total"], lengths: tuple[int, ...]) -> PackedBatches:
    return PackedBatches(values=torch.from_numpy(values.astype(np.int64)), lengths=lengths)
