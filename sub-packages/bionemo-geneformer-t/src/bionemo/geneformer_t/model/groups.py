"""Groups: where each cell begins and ends among packed tokens, and what attention over them is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Groups:
    """Where each group of packed tokens begins and ends."""

    offsets: Int[Tensor, " groups_plus_1"]
    lengths: list[int]

    @classmethod
    def of(cls, offsets: Int[Tensor, " groups_plus_1"]) -> "Groups":
        """Read the lengths once; on a GPU this is the one wait for the device in a step."""
        return cls(offsets=offsets, lengths=offsets.diff().tolist())

    @property
    def longest(self) -> int:
        """Tokens of the longest group; 0 where there is none."""
        return max(self.lengths, default=0)

    @cached_property
    def short_offsets(self) -> Int[Tensor, " groups_plus_1"]:
        """The offsets in the 32 bits that GPU kernels take."""
        return self.offsets.to(torch.int32)


Attention = Callable[
    [
        Float[Tensor, "query head dim"],
        Float[Tensor, "key head dim"],
        Float[Tensor, "key head dim"],
        Groups,
        Groups,
        float,
    ],
    Float[Tensor, "query head dim"],
]
"""`(query, key, value, query_groups, key_groups, dropout_prob) -> attended`"""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What attention is asked to do."""

    device: torch.device
    dtype: torch.dtype
    """Precision of queries, keys and values."""
    head_dim: int
    dropout_prob: float
