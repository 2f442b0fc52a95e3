"""How many tokens an example costs the model, known before it is drawn."""

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from bionemo.geneformer_t.config import SPECIALS_PER_CONTEXT, PairSettings
from bionemo.geneformer_t.data.masking import num_scored
from bionemo.geneformer_t.graph import NeighborGraph


def most_tokens(
    cells: Int[ndarray, " example"],
    graph: NeighborGraph,
    num_genes: Int[ndarray, " cell"],
    settings: PairSettings,
) -> Int[ndarray, " example"]:
    """The tokens of each example's context, and the most that its next cells can have scored.

    Which successors are drawn changes from epoch to epoch, so the longest one counts.

    Args:
        cells: The current cell of each example.
        graph: Who may follow whom.
        num_genes: The length of each cell's encoding.
        settings: How pairs are made.
    """
    current = num_genes[cells]
    degree = graph.out_degree[cells]
    following = _longest_successor(graph, num_genes)[cells]
    alone = {"identity": current, "random": np.full_like(current, num_genes.max())}
    if settings.no_neighbor_policy in alone:
        following = np.where(degree > 0, following, alone[settings.no_neighbor_policy])
    if settings.token_selection_policy == "intersection":
        following = np.minimum(following, current)
    if settings.token_selection_policy == "union":
        following = following + current
    most = settings.genes_per_cell
    next_cells = _next_cells(degree, len(num_genes), settings)
    scored = num_scored(np.minimum(following, most), settings.mask_prob)
    return np.minimum(current, most) + SPECIALS_PER_CONTEXT + next_cells * scored


def _next_cells(
    degree: Int[ndarray, " example"], num_cells: int, settings: PairSettings
) -> Int[ndarray, " example"]:
    others = {"identity": 1, "random": num_cells - 1}.get(settings.no_neighbor_policy or "skip", 0)
    return np.minimum(np.where(degree > 0, degree, others), settings.next_cells_per_cell)


def _longest_successor(
    graph: NeighborGraph, num_genes: Int[ndarray, " cell"]
) -> Int[ndarray, " cell"]:
    """The length of each cell's longest successor; 0 where there is none."""
    longest = np.zeros(graph.num_cells, dtype=np.int64)
    has_some = graph.out_degree > 0
    if has_some.any():
        lengths = num_genes[graph.indices]
        longest[has_some] = np.maximum.reduceat(lengths, graph.indptr[:-1][has_some])
    return longest
