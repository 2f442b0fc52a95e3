"""Random draws that are a pure function of (seed, epoch, cell): who draws when cannot matter.

Shuffling takes a generator. What is drawn for every cell takes hashed counters instead: number i of
a cell's stream is a hash of the cell's key and i, so that one call draws for a whole batch, and any
cell alone draws the same. SplitMix64's output function (Steele, Lea and Flood 2014) is the hash; it
passes BigCrush on counters.
"""

import numpy as np
from jaxtyping import Float, Int, Integer, UInt64
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.ragged import places_within
from bionemo.geneformer_t.splitmix import STEP, mix

_WORD = (1 << 64) - 1


def generator(seed: int, epoch: int, cell: int) -> np.random.Generator:
    """The generator of one cell in one epoch.

    Philox is built for this: every key starts a stream that is independent of all others. Half of
    the key is the cell, the other half a mix of seed and epoch.
    """
    mixed = int(mix(mix(_words(seed)) ^ _words(epoch))[0])
    return np.random.Generator(np.random.Philox(key=(mixed << 64) | (cell & _WORD)))


def stream_keys(
    seed: int, epochs: Int[ndarray, " draw"], cells: Int[ndarray, " draw"]
) -> UInt64[ndarray, " draw"]:
    """The key of each (seed, epoch, cell)."""
    return mix(mix(mix(_words(seed)) ^ _words(epochs)) ^ _words(cells))


def substreams(
    keys: UInt64[ndarray, " draw"], numbers: int | Int[ndarray, " draw"]
) -> UInt64[ndarray, " draw"]:
    """Keys of further streams of the same cells: one for each number."""
    return mix(keys ^ mix(_words(numbers)))


def words(
    keys: UInt64[ndarray, " draw"], counters: Int[ndarray, " draw"]
) -> UInt64[ndarray, " draw"]:
    """64 random bits: number `counter` of the stream of each key. No stream repeats a number."""
    found = counters.astype(np.uint64)
    found *= STEP
    found += keys
    return mix(found)


def uniform(
    keys: UInt64[ndarray, " draw"], counters: Int[ndarray, " draw"]
) -> Float[ndarray, " draw"]:
    """The same as numbers between 0 and 1, both excluded."""
    fractions = (words(keys, counters) >> np.uint64(12)).astype(np.float64)
    fractions += 0.5
    fractions *= 2.0**-52
    return fractions


def _words(values: int | Int[ndarray, " value"]) -> UInt64[ndarray, " _"]:
    if isinstance(values, int):
        return np.array([values & _WORD], dtype=np.uint64)
    return values.astype(np.uint64)


def draw_successors(
    graph: NeighborGraph,
    cells: Int[ndarray, " cell"],
    keys: UInt64[ndarray, " cell"],
    number: int,
    *,
    by_weight: bool,
) -> tuple[Int[ndarray, " drawn"], Int[ndarray, " drawn"]]:
    """Draw successors of each cell one after the other, without replacement.

    The first arrivals of independent exponential clocks whose rates are the weights are distributed
    as sequential draws in proportion to the weights (Efraimidis and Spirakis 2006).

    Args:
        graph: Who may follow whom.
        cells: The current cells.
        keys: The random stream of each.
        number: Successors of each cell; all of them where there are fewer.
        by_weight: In proportion to their weights, instead of uniformly.

    Returns:
        The place of each drawn successor's cell in `cells`, ascending, and the successors.
    """
    degree = graph.indptr[cells + 1] - graph.indptr[cells]
    cell_of_edge = np.repeat(np.arange(len(cells)), degree)
    within = places_within(degree)
    edges = within + np.repeat(graph.indptr[cells], degree)
    waiting = -np.log(uniform(keys[cell_of_edge], within))
    order = np.lexsort(
        (*(_arrival(waiting, graph.weights[edges]) if by_weight else (waiting,)), cell_of_edge)
    )
    drawn = edges[order[within < number]]  # cells stay in place, so places within them do too
    return cell_of_edge[within < number], graph.indices[drawn]


def _arrival(
    waiting: Float[ndarray, " edge"], weights: Float[ndarray, " edge"]
) -> tuple[Float[ndarray, " edge"], ...]:
    """When each clock rings: the last array is what sorts, those before it break ties.

    With weights near an end of the floats many clocks ring at infinity, or so soon that their times
    have few digits; the logarithm of the time has them all.
    """
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        arrival = waiting / weights
        if ((arrival >= np.finfo(np.float64).tiny) & (arrival < np.inf)).all():
            return (arrival,)
        return np.log(waiting) - np.log(weights), arrival


def draw_others(
    size: int, left_out: Int[ndarray, " cell"], keys: UInt64[ndarray, " cell"], number: int
) -> Int[ndarray, "cell drawn"]:
    """For each cell, draw some of the numbers below `size` but one, uniformly over sets.

    Floyd's algorithm: the draws themselves are as many as wanted, however large `size` is.

    Args:
        size: How many there are to draw from.
        left_out: The number that each cell may not draw.
        keys: The random stream of each cell.
        number: Draws for each cell; all but the one left out where there are fewer.
    """
    others = size - 1
    drawn = np.empty((len(keys), min(number, others)), dtype=np.int64)
    for column in range(drawn.shape[1]):
        last = others - drawn.shape[1] + column
        chosen = (uniform(keys, np.full(len(keys), column)) * (last + 1)).astype(np.int64)
        taken = (drawn[:, :column] == chosen[:, None]).any(axis=1)
        drawn[:, column] = np.where(taken, last, chosen)
    return drawn + (drawn >= left_out[:, None])


def drop_genes(
    cells: list[Integer[ndarray, " _"]], keys: UInt64[ndarray, " cell"], most: float
) -> list[Integer[ndarray, " _"]]:
    """Leave out some genes of each cell at random; at least one stays, the order too.

    Args:
        cells: Genes in rank order.
        keys: The random stream of each cell.
        most: For each cell a fraction between 0 and this is drawn, and each gene is left out with
            that probability.
    """
    if most == 0:
        return cells
    lengths = np.array([len(cell) for cell in cells])
    fractions = most * uniform(keys, np.zeros(len(cells), dtype=np.int64))
    draws = uniform(np.repeat(keys, lengths), 1 + places_within(lengths))
    kept = draws >= np.repeat(fractions, lengths)
    starts = np.cumsum(lengths) - lengths
    kept[starts[lengths > 0]] |= np.add.reduceat(kept, starts[lengths > 0]) == 0
    return [cell[here] for cell, here in zip(cells, np.split(kept, starts[1:]), strict=True)]
