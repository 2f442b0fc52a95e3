"""Groups: where each cell begins and ends among packed tokens, and what attention over them is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Groups:
    """Where each group of packed tokens begins and ends."""

    offsets: Int[Tensor, " groups_plus_1"]
    short_offsets: Int[Tensor, " groups_plus_1"]
    """The same in the 32 bits that GPU kernels take."""
    lengths: list[int]
    longest: int
    """Tokens of the longest group; 0 where there is none."""
    num_tokens: int

    @classmethod
    def of(cls, offsets: Int[Tensor, " groups_plus_1"]) -> "Groups":
        """Read the lengths once; on a GPU this waits for the device."""
        lengths = offsets.diff().tolist()
        return cls(
            offsets=offsets,
            short_offsets=offsets.to(torch.int32),
            lengths=lengths,
            longest=max(lengths, default=0),
            num_tokens=sum(lengths),
        )


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


def without_queries(
    query: Float[Tensor, "query head dim"],
    key: Float[Tensor, "key head dim"],
    value: Float[Tensor, "key head dim"],
) -> Float[Tensor, "query head dim"]:
    """What attention finds for no query at all; keys and values stay in the graph, or DDP waits."""
    return query + 0 * (key.sum() + value.sum()).to(query.dtype)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What attention is asked to do."""

    device: torch.device
    dtype: torch.dtype
    """Precision of queries, keys and values."""
    head_dim: int
    dropout_prob: float
