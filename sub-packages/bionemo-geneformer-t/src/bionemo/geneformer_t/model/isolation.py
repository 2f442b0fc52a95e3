"""The isolation rule: every position attends to the current cell and to nothing else.

One predicate states it. The dense mask below is for tests, figures and the textbook model; the
encoder obeys the rule by construction, because it makes keys and values from the context alone.
"""

from enum import IntEnum

from jaxtyping import Bool, Int
from torch import Tensor

ISOLATION_RULE_VERSION = 1
"""Counted up when the rule below changes; a checkpoint records the rule that it learned under."""


class Segment(IntEnum):
    """Which cell a position belongs to; also its token type."""

    CONTEXT = 0
    """`[CLS] c_1 ... c_n [SEP]`"""
    NEXT_CELL = 1
    """`x_1 ... x_m [SEP]`"""


def attends(
    query_segment: Int[Tensor, "*#shape"],
    key_segment: Int[Tensor, "*#shape"],
) -> Bool[Tensor, "*#shape"]:
    """Whether a position of one segment may attend to a position of another."""
    return key_segment == Segment.CONTEXT


def isolation_mask(segments: Int[Tensor, " token"]) -> Bool[Tensor, "token token"]:
    """The dense mask of a sequence: queries in rows, keys in columns, true where allowed."""
    size = len(segments)
    return attends(segments[:, None], segments[None, :]).expand(size, size)
