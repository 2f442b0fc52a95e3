"""TemporalGeneformerDataset: pairs of a current cell and its successors, masked for training.

An example is a pure function of (seed, epoch, current cell): neither workers nor restarts nor the
order of access can change it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Bool, Float, Int, Integer, UInt64
from numpy import ndarray
from torch.utils.data import Dataset

from bionemo.geneformer_t.batch import TemporalBatch, TemporalExample
from bionemo.geneformer_t.config import PairSettings
from bionemo.geneformer_t.data.batching import most_tokens
from bionemo.geneformer_t.data.cell_store import CellStore
from bionemo.geneformer_t.data.cell_tokens import CellTokens
from bionemo.geneformer_t.data.contrast import Contrast
from bionemo.geneformer_t.data.folder import MEDIANS, VOCAB
from bionemo.geneformer_t.data.gene_coverage import notes_on_left_out
from bionemo.geneformer_t.data.masked_pairs import MaskedPairs, PackedBatches
from bionemo.geneformer_t.data.masking import score, select_tokens
from bionemo.geneformer_t.data.resampling import CellResampler
from bionemo.geneformer_t.data.sampling import (
    draw_others,
    draw_successors,
    drop_genes,
    stream_keys,
    substreams,
)
from bionemo.geneformer_t.data.successor_cache import cached_successors
from bionemo.geneformer_t.data.successor_walks import draw_lengths, walk_on
from bionemo.geneformer_t.data.time_gaps import TimeGaps, hide
from bionemo.geneformer_t.data.token_cache import with_cache
from bionemo.geneformer_t.graph import NeighborGraph, shuffled_graph
from bionemo.geneformer_t.ragged import Ragged, places_within
from bionemo.geneformer_t.vocab import CLS, MASK, SEP, GeneVocab

logger = logging.getLogger(__name__)

_DROPPED = 1 << 32
"""The stream of a current cell that chooses the genes to leave out; next cells have low numbers."""
_RESAMPLED = (1 << 32) + 1
"""The stream of a next cell that its counts are drawn with."""
_SHUFFLE_STREAM = 1


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """What a split holds and what was left out of it."""

    cells: int
    """Cells in the file."""
    examples: int
    """Current cells that training iterates over."""
    cells_with_successors: int
    """Non-empty cells with a non-empty successor."""
    edges: int
    """Pairs of a cell and a successor that are used."""
    dropped: Mapping[str, int]
    """Edges left out, by reason."""
    empty_cells: int
    """Cells that express no gene of the vocabulary."""
    genes_known: int
    """Columns that the vocabulary knows."""
    genes_unknown: int
    """Columns that it does not."""

    def __str__(self) -> str:
        dropped = ", ".join(f"{n:,} {reason}" for reason, n in self.dropped.items() if n)
        return (
            f"{self.cells:,} cells ({self.empty_cells:,} empty, "
            f"{self.cells_with_successors:,} with successors, {self.examples:,} used as current "
            f"cells); {self.edges:,} edges, {sum(self.dropped.values()):,} dropped"
            f"{f' ({dropped})' if dropped else ''}; {self.genes_known:,} genes known to the "
            f"vocabulary, {self.genes_unknown:,} not"
        )


class TemporalGeneformerDataset(Dataset[Any]):
    """The current cells of one split, each with masked successors.

    `dataset[i]` is example i in epoch 0, `dataset[epoch, i]` in another epoch, and
    `dataset[[(epoch, i), ...]]` a packed batch, as a `CellBatchSampler` asks for it.

    Raises:
        ValueError: The graph is not over these cells, or no cell is left to train on.
    """

    def __init__(
        self,
        tokens: CellTokens,
        graph: NeighborGraph,
        vocab: GeneVocab,
        settings: PairSettings,
        *,
        dropped: Mapping[str, int] | None = None,
    ) -> None:
        if graph.num_cells != len(tokens):
            raise ValueError(
                f"the neighbor graph is over {graph.num_cells:,} cells, the split holds "
                f"{len(tokens):,}; both must come from the same cells"
            )
        is_empty = np.asarray(tokens.num_genes) == 0
        self.tokens = tokens
        self.graph, num_removed = _without_cells(graph, is_empty)
        key = settings.time_gap_key
        self.gaps = None if key is None else TimeGaps.of_split(tokens.store, self.graph, key)
        """The time between the cells of a pair, where the model is told."""
        if settings.shuffle_successors:
            rng = np.random.default_rng([settings.seed, _SHUFFLE_STREAM])
            self.graph = shuffled_graph(self.graph, rng)
        self.vocab = vocab
        self.settings = settings
        has_successors = self.graph.out_degree > 0
        keeps_all = not settings.only_cells_with_neighbors and settings.no_neighbor_policy != "skip"
        self.cells: Int[ndarray, " example"] = np.flatnonzero(
            ~is_empty if keeps_all else has_successors
        )
        """Rows of the current cells, in the order of the examples."""
        self.summary = SplitSummary(
            cells=len(tokens),
            examples=len(self.cells),
            cells_with_successors=int(has_successors.sum()),
            edges=self.graph.num_edges,
            dropped={**(dropped or {}), "from or to an empty cell": num_removed},
            empty_cells=tokens.num_empty,
            genes_known=tokens.num_genes_known,
            genes_unknown=tokens.num_genes_unknown,
        )
        self._cls, self._mask, self._sep = (vocab.ids[token] for token in (CLS, MASK, SEP))
        logger.info("%s: %s", tokens.store.split_dir, self.summary)
        self._check()
        number = settings.resampling_neighbors
        self.resampler = CellResampler(tokens, self._non_empty_cells, number) if number else None
        """Draws next cells anew, where the settings ask for it. It is made here because each
        worker of a loader would search for similar cells again."""

    @classmethod
    def from_folder(
        cls,
        split_dir: Path | str,
        vocab: GeneVocab | None = None,
        settings: PairSettings = PairSettings(),  # noqa: B008 - frozen
        cache_dir: Path | str | None = None,
        *,
        token_cache: bool = False,
        store: CellStore | None = None,
    ) -> "TemporalGeneformerDataset":
        """The pairs of a folder such as data/train.

        Args:
            split_dir: Holds data.h5ad (or an SCDL archive) and neighbors.json.
            vocab: The vocabulary; by default that of the folder's own files.
            settings: How pairs are made.
            cache_dir: Where converted data are kept; see `CellStore.open`.
            token_cache: Encode all cells once and keep them there, instead of whenever needed.
            store: The cells, where they are open already.
        """
        split_dir = Path(split_dir)
        if store is None:
            store = CellStore.open(split_dir, None if cache_dir is None else Path(cache_dir))
        if vocab is None:
            vocab = GeneVocab.read(split_dir / VOCAB, split_dir / MEDIANS)
        tokens = CellTokens(store, vocab, settings)
        for note in notes_on_left_out(store, tokens.token_of_column):
            logger.warning("%s", note)
        if token_cache:
            tokens = with_cache(tokens)
        if settings.objective == "mlm":
            return cls(
                tokens, NeighborGraph.empty(len(store)), vocab, of_cells_themselves(settings)
            )
        graph, dropped = cached_successors(split_dir, store, settings.neighbor_key)
        return cls(tokens, graph, vocab, settings, dropped=dropped)

    def __len__(self) -> int:
        return len(self.cells)

    @overload
    def __getitem__(self, index: int | tuple[int, int]) -> TemporalExample: ...

    @overload
    def __getitem__(self, index: list[tuple[int, int]]) -> TemporalBatch: ...

    def __getitem__(
        self, index: int | tuple[int, int] | list[tuple[int, int]]
    ) -> TemporalExample | TemporalBatch:
        if isinstance(index, list):
            return self.batch(index)
        epoch, i = index if isinstance(index, tuple) else (0, index)
        return self.example(epoch, i)

    def batch(self, examples: list[tuple[int, int]]) -> TemporalBatch:
        """The pairs of many current cells, given as (epoch, example), packed."""
        return next(self.batches([examples]).batches())

    def batches(self, batches: Sequence[Sequence[tuple[int, int]]]) -> PackedBatches:
        """Several batches at once, which takes little longer than one small batch."""
        examples = [example for batch in batches for example in batch]
        if not examples:  # the last of some ranks
            return PackedBatches.empty(len(batches))
        epochs, indices = np.array(examples, dtype=np.int64).reshape(-1, 2).T
        return self._pairs(epochs, indices).packed([len(batch) for batch in batches])

    def example(self, epoch: int, index: int) -> TemporalExample:
        """The pair or pairs of one current cell in one epoch."""
        return self._pairs(np.array([epoch]), np.array([index])).examples()[0]

    def most_tokens(self) -> Int[ndarray, " example"]:
        """The most tokens that each example can have, in any epoch."""
        lengths = np.asarray(self.tokens.num_genes).astype(np.int64)
        return most_tokens(self.cells, self.graph, lengths, self.settings)

    def _pairs(
        self, epochs: Int[ndarray, " example"], indices: Int[ndarray, " example"]
    ) -> MaskedPairs:
        settings = self.settings
        cells = self.cells[indices]
        keys = stream_keys(settings.seed, epochs, cells)
        context_of, next_cells, next_keys = self._first_steps(cells, keys)
        next_cells, gaps = self._walked(cells[context_of], next_cells, next_keys)
        if gaps is not None:
            gaps = hide(gaps, next_keys, settings.time_gap_dropout)
        currents, following = self._encoded(cells, next_cells, next_keys)
        genes = Ragged.of([
            select_tokens(next_cell, currents[i], settings.token_selection_policy)[
                : settings.genes_per_cell
            ]
            for next_cell, i in zip(following, context_of.tolist(), strict=True)
        ])  # fmt: skip
        shown = drop_genes(
            [current[: settings.genes_per_cell] for current in currents],
            substreams(keys, _DROPPED),
            settings.context_dropout,
        )
        return MaskedPairs(
            cells=cells,
            contexts=Ragged.of(shown).framed([self._cls], [self._sep]),
            context_of=context_of,
            next_cells=next_cells,
            num_genes=genes.lengths,
            scored=score(genes, next_keys, self.vocab.gene_ids, self._mask, settings),
            contrast=Contrast(
                graph=self.graph,
                cells=cells,
                keys=keys,
                context_of=context_of,
                next_cells=next_cells,
                genes=genes,
            )
            if settings.contrastive_weight
            else None,
            time_gaps=gaps,
        )

    def _first_steps(
        self, cells: Int[ndarray, " cell"], keys: UInt64[ndarray, " cell"]
    ) -> tuple[Int[ndarray, " drawn"], Int[ndarray, " drawn"], UInt64[ndarray, " drawn"]]:
        """Which cell each drawn successor belongs to, the successors, and their random streams."""
        context_of, next_cells = self._draw(cells, keys)
        order_of_drawing = places_within(np.bincount(context_of, minlength=len(cells)))
        return context_of, next_cells, substreams(keys[context_of], order_of_drawing)

    def _walked(
        self,
        cells: Int[ndarray, " drawn"],
        next_cells: Int[ndarray, " drawn"],
        next_keys: UInt64[ndarray, " drawn"],
    ) -> tuple[Int[ndarray, " drawn"], Float[ndarray, " drawn"] | None]:
        """Next cells up to `successor_steps` ahead, and the time gaps where there are any.

        Args:
            cells: The current cell of each next cell.
            next_cells: One step ahead.
            next_keys: The random stream of each.
        """
        settings, steps = self.settings, np.ones_like(next_cells)
        follows = self.graph.out_degree[cells] > 0  # others are a cell's own, or any cell
        if settings.successor_steps > 1:
            lengths = np.where(follows, draw_lengths(next_keys, settings.successor_steps), 1)
            next_cells, steps = walk_on(
                self.graph,
                next_cells,
                lengths,
                next_keys,
                by_weight=settings.successor_sampling == "weighted",
            )
        if self.gaps is None:
            return next_cells, None
        return next_cells, np.where(follows, self.gaps.between(cells, next_cells, steps), np.nan)

    def drawn_gaps(self, indices: Int[ndarray, " example"]) -> Float[ndarray, " drawn"]:
        """Time gaps of some examples in epoch 0, none hidden; NaN where there is none.

        Raises:
            ValueError: The settings ask for no gaps.
        """
        if self.gaps is None:
            raise ValueError("time_gap_key is None; these pairs have no time gaps")
        cells = self.cells[indices]
        keys = stream_keys(self.settings.seed, np.zeros_like(indices), cells)
        context_of, next_cells, next_keys = self._first_steps(cells, keys)
        gaps = self._walked(cells[context_of], next_cells, next_keys)[1]
        assert gaps is not None
        return gaps

    def _encoded(
        self,
        cells: Int[ndarray, " example"],
        next_cells: Int[ndarray, " drawn"],
        next_keys: UInt64[ndarray, " drawn"],
    ) -> tuple[list[Integer[ndarray, " _"]], list[Integer[ndarray, " _"]]]:
        """The genes of current and of next cells in rank order."""
        if self.resampler is not None:
            following = self.resampler.draw(next_cells, substreams(next_keys, _RESAMPLED))
            return self.tokens.rows_of(cells), following
        encoded = self.tokens.rows_of(np.concatenate([cells, next_cells]))
        return encoded[: len(cells)], encoded[len(cells) :]

    def _draw(
        self, cells: Int[ndarray, " cell"], keys: UInt64[ndarray, " cell"]
    ) -> tuple[Int[ndarray, " drawn"], Int[ndarray, " drawn"]]:
        """Which cell each drawn successor belongs to, ascending, and the successors."""
        number = self.settings.next_cells_per_cell
        by_weight = self.settings.successor_sampling == "weighted"
        context_of, drawn = draw_successors(self.graph, cells, keys, number, by_weight=by_weight)
        lone = np.flatnonzero(self.graph.indptr[cells] == self.graph.indptr[cells + 1])
        if not len(lone):
            return context_of, drawn
        instead = cells[lone, None]
        if self.settings.no_neighbor_policy == "random":
            others = self._non_empty_cells
            mine = np.searchsorted(others, cells[lone])
            instead = others[draw_others(len(others), mine, keys[lone], number)]
        context_of = np.concatenate([context_of, np.repeat(lone, instead.shape[1])])
        order = np.argsort(context_of, kind="stable")
        return context_of[order], np.concatenate([drawn, instead.ravel()])[order]

    def names_of(self, cells: Sequence[int]) -> list[str]:
        """The `obs_names` of rows, to name them in messages."""
        names = self.tokens.store.cell_ids
        return [names[cell] for cell in cells]

    @cached_property
    def _non_empty_cells(self) -> Int[ndarray, " cell"]:
        return np.flatnonzero(np.asarray(self.tokens.num_genes) > 0)

    def _check(self) -> None:
        key, place = self.settings.neighbor_key, self.tokens.store.split_dir
        if not len(self.cells):
            raise ValueError(
                f"no cell of {place} has a successor under key {key!r}; {self.summary}. Choose "
                "another neighbor_key, or set only_cells_with_neighbors=False, which makes such "
                "cells their own next cells"
            )
        draws_others = len(self.cells) > self.summary.cells_with_successors
        is_random = self.settings.no_neighbor_policy == "random"
        if draws_others and is_random and len(self._non_empty_cells) == 1:
            raise ValueError(
                f"no_neighbor_policy='random' needs another cell to draw; {place} holds one "
                "non-empty cell"
            )


def of_cells_themselves(settings: PairSettings) -> PairSettings:
    """The settings under which every cell is its own next cell, as the objective `mlm` has it."""
    return replace(settings, only_cells_with_neighbors=False, no_neighbor_policy="identity")


def _without_cells(
    graph: NeighborGraph, unwanted: Bool[ndarray, " cell"]
) -> tuple[NeighborGraph, int]:
    """The graph without edges from or to some cells, and how many those were."""
    if not unwanted.any():
        return graph, 0
    rows = np.repeat(np.arange(graph.num_cells), graph.out_degree)
    keep = ~(unwanted[rows] | unwanted[graph.indices])
    degree = np.bincount(rows[keep], minlength=graph.num_cells)
    kept = replace(
        graph,
        indptr=np.concatenate([[0], np.cumsum(degree)]),
        indices=graph.indices[keep],
        weights=graph.weights[keep],
    )
    return kept, int((~keep).sum())
