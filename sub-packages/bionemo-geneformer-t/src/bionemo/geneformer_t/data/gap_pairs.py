"""Pairs of cells with the time between them, as training draws them: to fit and to judge on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.sampling import draw_successors, stream_keys
from bionemo.geneformer_t.data.successor_walks import draw_lengths, walk_on
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.data.time_gaps import TimeGaps
from bionemo.geneformer_t.ragged import Ragged


@dataclass(frozen=True, kw_only=True)
class GapPairs:
    """Pairs of a current and a later cell."""

    current: Ragged
    """Known genes in rank order of each pair's current cell, cut as in training."""
    later: Ragged
    """The same of the later cells."""
    gaps: Float[ndarray, " pair"]
    """The time between them."""
    cells: Int[ndarray, " pair"]
    """Rows of the current cells."""
    later_cells: Int[ndarray, " pair"]
    """Rows of the later cells."""

    def __len__(self) -> int:
        return len(self.gaps)


def gap_pairs(
    split: TemporalGeneformerDataset, settings: PairSettings, number: int, seed: int
) -> GapPairs:
    """Pairs of some cells of a split; each current cell occurs once.

    Args:
        split: Cells and their graph.
        settings: Those of training, which say how far ahead next cells are and what time is.
        number: Pairs, at most.
        seed: Draws cells and walks.

    Raises:
        ValueError: The settings name no time.
    """
    if settings.time_gap_key is None:
        raise ValueError("time_gap_key is None; there is no time between the cells of a pair")
    by_weight = settings.successor_sampling == "weighted"
    graph = split.graph
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.permutation(np.flatnonzero(graph.out_degree))[:number])
    keys = stream_keys(seed, np.zeros_like(cells), cells)
    _, first = draw_successors(graph, cells, keys, 1, by_weight=by_weight)
    lengths = draw_lengths(keys, settings.successor_steps)
    later, steps = walk_on(graph, first, lengths, keys, by_weight=by_weight)
    gaps = split.gaps  # read already where these pairs are told their gaps
    if gaps is None or gaps.key != settings.time_gap_key:
        gaps = TimeGaps.of_split(split.tokens.store, graph, settings.time_gap_key)
    found = gaps.between(cells, later, steps)
    kept = np.flatnonzero(np.isfinite(found))
    most = settings.genes_per_cell
    return GapPairs(
        current=_encoded(split, cells[kept], most),
        later=_encoded(split, later[kept], most),
        gaps=found[kept],
        cells=cells[kept],
        later_cells=later[kept],
    )


def _encoded(split: TemporalGeneformerDataset, rows: Int[ndarray, " row"], most: int) -> Ragged:
    return Ragged.of([np.asarray(genes, np.int64)[:most] for genes in split.tokens.rows_of(rows)])
