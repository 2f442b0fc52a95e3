"""What the contrastive term compares: next cells at ranks that a whole batch shares.

Every current cell of a batch is asked for the genes of every next cell, so all are asked at the
same ranks. These are drawn from the random stream of the batch's first current cell: a pure
function of (seed, epoch, batch). A next cell that is a successor of several current cells of the
batch is no counterexample for any of them: such pairs are left out.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt64
from numpy import ndarray

from bionemo.geneformer_t.batch import NO_GENE
from bionemo.geneformer_t.data.masking import lowest
from bionemo.geneformer_t.data.sampling import substreams, words
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.ragged import Ragged, places_within

NUM_RANKS = 96
"""Ranks at which the cells of a batch are compared, at most."""
_STREAM = (1 << 32) + 2
"""The stream of a current cell that ranks are drawn with; next cells have low numbers."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Pairs as the contrastive term needs them, before they are divided into batches."""

    graph: NeighborGraph
    cells: Int[ndarray, " context"]
    """Rows of the current cells."""
    keys: UInt64[ndarray, " context"]
    """Their random streams."""
    context_of: Int[ndarray, " next_cell"]
    """Which context each next cell belongs to."""
    next_cells: Int[ndarray, " next_cell"]
    """Rows of the next cells."""
    genes: Ragged
    """The genes of each next cell in rank order, scored or not."""

    def of_batch(self, contexts: slice, next_cells: slice) -> dict[str, Int[ndarray, " _"]]:
        """The fields of `TemporalBatch` for a batch of these contexts and next cells."""
        genes = self.genes.take(np.arange(next_cells.start, next_cells.stop))
        ranks = draw_ranks(self.keys[contexts], int(genes.lengths.max(initial=0)))
        left_out = other_sources(
            self.graph,
            self.cells[contexts],
            self.context_of[next_cells] - contexts.start,
            self.next_cells[next_cells],
        )
        return {
            "contrast_ranks": ranks,
            "contrast_genes": genes_at(genes, ranks).ravel(),
            "contrast_left_out": left_out,
        }


def draw_ranks(keys: UInt64[ndarray, " context"], longest: int) -> Int[ndarray, " rank"]:
    """Ranks from 1 to `longest`, uniformly without replacement, ascending.

    Args:
        keys: The random streams of a batch's current cells, of which the first counts.
        longest: Genes of the longest next cell.
    """
    drawn = words(
        np.repeat(substreams(keys[:1], _STREAM), longest), np.arange(len(keys[:1]) * longest)
    )
    size = np.array([len(drawn)])
    return 1 + lowest(drawn, size, np.minimum(size, NUM_RANKS))


def genes_at(cells: Ragged, ranks: Int[ndarray, " rank"]) -> Int[ndarray, "cell rank"]:
    """The genes of cells at some ranks; `NO_GENE` where a cell has fewer genes."""
    found = np.full((len(cells), len(ranks)), NO_GENE)
    has_one = ranks <= cells.lengths[:, None]
    found[has_one] = cells.values[(cells.offsets[:-1, None] + ranks - 1)[has_one]]
    return found


def other_sources(
    graph: NeighborGraph,
    cells: Int[ndarray, " context"],
    context_of: Int[ndarray, " next_cell"],
    next_cells: Int[ndarray, " next_cell"],
) -> Int[ndarray, " left_out"]:
    """Contexts that a next cell is a successor of beside its own, as `TemporalBatch` has them.

    Args:
        graph: Who may follow whom.
        cells: Rows of the current cells of the batch.
        context_of: Which of them each next cell was drawn for.
        next_cells: Rows of the next cells.
    """
    degree = graph.out_degree[cells]
    edges = np.repeat(graph.indptr[cells], degree) + places_within(degree)
    rows, successors = np.repeat(np.arange(len(cells)), degree), graph.indices[edges]
    drawn, column_of = np.unique(next_cells, return_inverse=True)
    is_drawn = np.isin(successors, drawn)
    is_source = np.zeros((len(cells), len(drawn)), dtype=bool)
    is_source[rows[is_drawn], np.searchsorted(drawn, successors[is_drawn])] = True
    is_source = is_source[:, column_of]
    is_source[context_of, np.arange(len(next_cells))] = False
    return np.flatnonzero(is_source)
