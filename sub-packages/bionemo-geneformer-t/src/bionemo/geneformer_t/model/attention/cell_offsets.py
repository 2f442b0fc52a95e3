"""CellOffsets, the bounds of each cell among packed tokens, and the signature of attention."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class CellOffsets:
    """Where each group of packed tokens begins and ends."""

    offsets: Int[Tensor, " groups_plus_1"]
    short_offsets: Int[Tensor, " groups_plus_1"]
    """The same in the 32 bits that GPU kernels take."""
    lengths: list[int]
    longest: int
    """Tokens of the longest group; 0 where there is none."""
    num_tokens: int

    @classmethod
    def of(cls, offsets: Int[Tensor, " groups_plus_1"]) -> "CellOffsets":
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
        Sequence[CellOffsets],
        CellOffsets,
        float,
    ],
    Float[Tensor, "query head dim"],
]
"""`(query, key, value, askers, key_groups, dropout_prob) -> attended`: the queries of all askers,
one asker after the other; group i of each sees group i of the keys."""

OneAskersAttention = Callable[
    [
        Float[Tensor, "query head dim"],
        Float[Tensor, "key head dim"],
        Float[Tensor, "key head dim"],
        CellOffsets,
        CellOffsets,
        float,
    ],
    Float[Tensor, "query head dim"],
]
"""The same for one asker."""


def per_query_segment(attend: OneAskersAttention) -> Attention:
    """Attention for any number of askers, from a function that serves one."""

    @wraps(attend)
    def attend_all(
        query: Float[Tensor, "query head dim"],
        key: Float[Tensor, "key head dim"],
        value: Float[Tensor, "key head dim"],
        askers: Sequence[CellOffsets],
        key_groups: CellOffsets,
        dropout_prob: float = 0.0,
    ) -> Float[Tensor, "query head dim"]:
        attended, start = [], 0
        for groups in askers:
            asked = query[start : start + groups.num_tokens]
            attended.append(attend(asked, key, value, groups, key_groups, dropout_prob))
            start += groups.num_tokens
        return attended[0] if len(attended) == 1 else torch.cat(attended)

    return attend_all


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
