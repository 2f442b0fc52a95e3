"""Which successors many current cells get in one epoch, drawn for all of them at once."""

import numpy as np
from jaxtyping import Float, Int, Integer, UInt64
from numpy import ndarray

from bionemo.geneformer_t.data.random_streams import uniform
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.ragged import places_within


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
        by_weight: In proportion to their weights, instead of all alike.

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
    """When each clock rings: the last array is what sorts, those before it part what is alike.

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
    """For each cell, draw some of the numbers below `size` but one, each set alike.

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
        chance = uniform(keys, np.full(len(keys), column))
        chosen = (chance * (last + 1)).astype(np.int64)
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
        most: For each cell a share between 0 and this is drawn, and each gene is left out with
            that chance.
    """
    if most == 0:
        return cells
    lengths = np.array([len(cell) for cell in cells])
    shares = most * uniform(keys, np.zeros(len(cells), dtype=np.int64))
    chance = uniform(np.repeat(keys, lengths), 1 + places_within(lengths))
    kept = chance >= np.repeat(shares, lengths)
    starts = np.cumsum(lengths) - lengths
    kept[starts[lengths > 0]] |= np.add.reduceat(kept, starts[lengths > 0]) == 0
    return [cell[here] for cell, here in zip(cells, np.split(kept, starts[1:]), strict=True)]
