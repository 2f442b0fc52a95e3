"""CellOffsets, the bounds of each cell among packed tokens, and the signature of attention."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class CellOffsets:
    """The bounds of each cell among packed tokens, also known as cumulative sequence lengths."""

    offsets: Int[Tensor, " cells_plus_1"]
    short_offsets: Int[Tensor, " cells_plus_1"]
    """The same in the 32 bits that GPU kernels take."""
    lengths: list[int]
    longest: int
    """Tokens of the longest cell; 0 without cells."""
    num_tokens: int

    @classmethod
    def of(cls, offsets: Int[Tensor, " cells_plus_1"]) -> "CellOffsets":
        """Read the lengths once; on a GPU this waits for the device."""
        lengths = offsets.diff().tolist()
        return cls(
            offsets=offsets,
            short_offsets=offsets.to(torch.int32),
            lengths=lengths,
            longest=max(lengths, default=0),
            num_tokens=sum(lengths),
        )


Queries = Float[Tensor, "query head dim"]
Keys = Float[Tensor, "key head dim"]
"""Of values too."""
Attention = Callable[[Queries, Keys, Keys, Sequence[CellOffsets], CellOffsets, float], Queries]
"""`(query, key, value, query_segments, key_cells, dropout_prob) -> attended`: the queries of all
segments, concatenated; cell i of each segment attends to cell i of the keys."""
SegmentAttention = Callable[[Queries, Keys, Keys, CellOffsets, CellOffsets, float], Queries]
"""The same for one segment of queries: contexts, or scored positions."""


def per_query_segment(attend: SegmentAttention) -> Attention:
    """Attention for any number of query segments, from a function of one."""

    @wraps(attend)
    def attend_all(
        query: Queries,
        key: Keys,
        value: Keys,
        segments: Sequence[CellOffsets],
        key_cells: CellOffsets,
        dropout_prob: float = 0.0,
    ) -> Queries:
        attended, start = [], 0
        for cells in segments:
            queries = query[start : start + cells.num_tokens]
            attended.append(attend(queries, key, value, cells, key_cells, dropout_prob))
            start += cells.num_tokens
        return attended[0] if len(attended) == 1 else torch.cat(attended)

    return attend_all


def without_queries(
    query: Queries,
    key: Keys,
    value: Keys,
) -> Queries:
    """The result of no query at all; keys and values stay in the graph, or DDP waits."""
    return query + 0 * (key.sum() + value.sum()).to(query.dtype)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What attention must support."""

    device: torch.device
    dtype: torch.dtype
    """Precision of queries, keys and values."""
    head_dim: int
    dropout_prob: float
