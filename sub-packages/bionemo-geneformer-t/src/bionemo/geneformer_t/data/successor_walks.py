"""Next cells several steps ahead: random walks along the graph of successors.

Each step is drawn as a successor is drawn in training, so that a walk of s steps ends where the
chain of the graph is after s steps. A walk that comes to a cell without successors ends there, and
has made fewer steps.
"""

import numpy as np
from jaxtyping import Int, UInt64
from numpy import ndarray

from bionemo.geneformer_t.data.sampling import draw_successors, substreams, uniform
from bionemo.geneformer_t.graph import NeighborGraph

_LENGTH = 1 << 33
"""The stream of a next cell that the length of its walk is drawn with."""
_STEP = _LENGTH + 1
"""The stream of its second step; further steps have the next ones."""


def draw_lengths(keys: UInt64[ndarray, " walk"], most: int) -> Int[ndarray, " walk"]:
    """The steps of each walk, from 1 to `most`, all as probable."""
    drawn = uniform(substreams(keys, _LENGTH), np.zeros(len(keys), dtype=np.int64))
    return 1 + (drawn * most).astype(np.int64)


def walk_on(
    graph: NeighborGraph,
    first: Int[ndarray, " walk"],
    lengths: Int[ndarray, " walk"],
    keys: UInt64[ndarray, " walk"],
    *,
    by_weight: bool,
) -> tuple[Int[ndarray, " walk"], Int[ndarray, " walk"]]:
    """Where walks end whose first step is made already.

    Args:
        graph: Who may follow whom.
        first: Where the first step leads.
        lengths: Steps of each walk, the first one included.
        keys: The random stream of each walk.
        by_weight: Draw successors in proportion to their weights, instead of uniformly.

    Returns:
        The last cell of each walk, and the steps that it made.
    """
    here, made = first.copy(), np.ones_like(lengths)
    going = np.flatnonzero(lengths > 1)
    step = 1
    while len(going):
        streams = substreams(keys[going], _STEP + step)
        of_walk, reached = draw_successors(graph, here[going], streams, 1, by_weight=by_weight)
        going = going[of_walk]  # the others have come to an end
        here[going] = reached
        made[going] += 1
        step += 1
        going = going[lengths[going] > step]
    return here, made
