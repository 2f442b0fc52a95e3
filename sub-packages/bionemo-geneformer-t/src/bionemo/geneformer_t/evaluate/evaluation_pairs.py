"""Pairs of a current cell and a successor, as everything that is scored sees them.

A predictor gets the current cell's genes, cut as in training, and nothing else. All successors of a
cell are scored, weighted by their probabilities, so that all current cells count equally.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from bionemo.geneformer_t.config import TokenSelectionPolicy
from bionemo.geneformer_t.data.masking import select_tokens
from bionemo.geneformer_t.data.temporal_dataset import TemporalGeneformerDataset
from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.ragged import places_within

Predictor = Callable[[list[Int[ndarray, " _"]], int], Float[ndarray, "context rank vocab"]]
"""Current cells (their genes' ids in rank order) and a number of ranks -> natural log-probabilities
of every token at ranks 1, 2, ... of the next cell; each row is a distribution over genes."""

_MAX_CACHED = 2**28
"""Bytes of encoded cells that are kept; those beyond are encoded whenever they are needed."""
POSITIONS_PER_CELL = 100
"""Positions of each held-out next cell on which settings are chosen."""


@dataclass(frozen=True, kw_only=True)
class CellPredictor:
    """A predictor that gets the rows of the current cells, not only their genes.

    No model may be one; the simulator is.
    """

    of_cells: Callable[[Int[ndarray, " context"], int], Float[ndarray, "context rank vocab"]]
    """Rows of current cells and a number of ranks -> as a `Predictor`."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """One current cell and its successors."""

    cell: int
    """Row of the current cell."""
    context: Int[ndarray, " context"]
    """Its genes in rank order, cut as in training."""
    expressed: Int[ndarray, " expressed"]
    """All its genes, to tell which genes of a successor are new."""
    next_cells: list[Int[ndarray, " _"]]
    """The genes of each successor in rank order, cut as in training."""
    weights: list[float]
    """The successors' probabilities."""


@dataclass(frozen=True, kw_only=True)
class CellPairs:
    """Current cells and their successors in one split."""

    encode: Callable[[int], Int[ndarray, " _"]]
    """Row of a cell -> ids of all its genes in rank order."""
    current: Int[ndarray, " pair"]
    """Rows of the current cells; never decreases."""
    following: Int[ndarray, " pair"]
    """Rows of the next cells."""
    weights: Float[ndarray, " pair"]
    """Probability of the successor; sums to one over the pairs of a current cell."""
    max_genes: int
    """Genes that each cell keeps, the highest ranks."""
    gene_ids: Int[ndarray, " gene"]
    """Tokens that are genes."""
    vocab_size: int
    """Tokens, genes and special ones."""
    policy: TokenSelectionPolicy = "identity"
    """Which genes make up the next cell, as in training."""
    measured: Int[ndarray, " pair"] | None = None
    """Rows of the cells that next cells were drawn from; None where they are these cells."""

    @classmethod
    def from_graph(cls, graph: NeighborGraph, **fields: object) -> "CellPairs":
        """All edges of a graph as pairs.

        Raises:
            ValueError: The graph has no edge.
        """
        if graph.num_edges == 0:
            raise ValueError("no cell of this split has a successor, so nothing can be scored")
        return cls(
            current=graph.current,
            following=graph.indices,
            weights=graph.probabilities,
            **fields,  # type: ignore[arg-type]
        )

    @classmethod
    def from_dataset(cls, dataset: TemporalGeneformerDataset) -> "CellPairs":
        """All edges of a split, cells encoded and cut as its settings say."""
        return cls.from_graph(dataset.graph, **_encoding(dataset))

    @classmethod
    def of_cells_themselves(cls, dataset: TemporalGeneformerDataset) -> "CellPairs":
        """Every cell of a split as its own next cell, for an objective without successors."""
        cells = dataset.cells
        return cls(
            current=cells, following=cells, weights=np.ones(len(cells)), **_encoding(dataset)
        )

    @property
    def num_pairs(self) -> int:
        """Pairs of a current cell and a successor."""
        return len(self.current)

    @property
    def cells(self) -> Int[ndarray, " cell"]:
        """Rows of the current cells, each once."""
        return np.unique(self.current)

    @property
    def next_ids(self) -> Int[ndarray, " pair"]:
        """A number for each pair, the same where next cells have the same genes.

        A policy other than `identity` makes a next cell's genes depend on the current cell.
        """
        return self.following if self.policy == "identity" else np.arange(self.num_pairs)

    def mean_of_successors(
        self, values: Shaped[ndarray, "pair ..."]
    ) -> Float[ndarray, "current_cell ..."]:
        """The weighted mean over the successors of each current cell."""
        cells, index = np.unique(self.current, return_inverse=True)
        means = np.zeros((len(cells), *values.shape[1:]))
        np.add.at(means, index, (self.weights * values.T).T)
        return means

    def targets(self) -> Iterator[Targets]:
        """Each current cell with its successors."""
        starts = np.flatnonzero(np.diff(self.current, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], self.num_pairs], strict=True):
            expressed = self.encode(int(self.current[start]))
            yield Targets(
                cell=int(self.current[start]),
                context=expressed[: self.max_genes],
                expressed=expressed,
                next_cells=[self._next(expressed, int(n)) for n in self.following[start:stop]],
                weights=self.weights[start:stop].tolist(),
            )

    def cached(self, max_bytes: int = _MAX_CACHED) -> "CellPairs":
        """The same, with cells encoded once: they are kept until they take too much memory."""
        kept: dict[int, ndarray] = {}
        room = max_bytes

        def encode(cell: int) -> Int[ndarray, " _"]:
            nonlocal room
            if cell not in kept:
                genes = self.encode(cell)
                if room < genes.nbytes:
                    return genes
                kept[cell], room = genes, room - genes.nbytes
            return kept[cell]

        return replace(self, encode=encode)

    def keep(self, pairs: ndarray) -> "CellPairs":
        """The same with some of the pairs, their weights again scaled to sum to one."""
        current, weights = self.current[pairs], self.weights[pairs]
        total = np.bincount(current, weights, minlength=current.max(initial=0) + 1)
        return replace(
            self,
            current=current,
            following=self.following[pairs],
            weights=weights / total[current],
            measured=None if self.measured is None else self.measured[pairs],
        )

    def draw_cells(self, number: int, rng: np.random.Generator) -> "CellPairs":
        """All pairs of `number` current cells, or of all where there are no more."""
        cells = self.cells
        if len(cells) <= number:
            return self
        drawn = rng.choice(cells, number, replace=False)
        return self.keep(np.isin(self.current, drawn))

    def hold_out(
        self, fraction: float, rng: np.random.Generator
    ) -> tuple["CellPairs", "CellPairs"]:
        """Split by next cell, so that no scored cell is among those that were counted.

        Returns:
            Pairs to fit on and pairs to tune on.

        Raises:
            ValueError: There are fewer than two next cells.
        """
        cells = np.unique(self.following)
        require_next_cells(len(cells))
        number = min(max(round(fraction * len(cells)), 1), len(cells) - 1)
        held_out = np.isin(self.following, rng.permutation(cells)[:number])
        return self.keep(~held_out), self.keep(held_out)

    def _next(self, current: Int[ndarray, " _"], cell: int) -> Int[ndarray, " _"]:
        return select_tokens(self.encode(cell), current, self.policy)[: self.max_genes]


def _encoding(dataset: TemporalGeneformerDataset) -> dict[str, Any]:
    return {
        "encode": dataset.tokens.encode,
        "max_genes": dataset.settings.genes_per_cell,
        "gene_ids": dataset.vocab.gene_ids,
        "vocab_size": len(dataset.vocab),
        "policy": dataset.settings.token_selection_policy,
    }


def require_next_cells(number: int) -> None:
    """Refuse training cells of which no next cell can be held out.

    Raises:
        ValueError: There are fewer than two next cells.
    """
    if number < 2:
        raise ValueError(
            "settings are chosen on next cells that are held out of training; the training split "
            f"has {number}, and at least 2 are needed"
        )


def positions(
    next_cells: Sequence[Int[ndarray, " _"]], weights: Sequence[float] | Float[ndarray, " cell"]
) -> tuple[Int[ndarray, " position"], Int[ndarray, " position"], Float[ndarray, " position"]]:
    """Ranks (from 0), genes and weights of all positions of some next cells."""
    lengths = np.array([len(genes) for genes in next_cells])
    return places_within(lengths), np.concatenate(next_cells), np.repeat(weights, lengths)


def draw_positions(
    target: Targets, rng: np.random.Generator, most: int = POSITIONS_PER_CELL
) -> tuple[Int[ndarray, " position"], Int[ndarray, " position"], Float[ndarray, " position"]]:
    """Ranks (from 0), genes and weights of up to `most` positions of each next cell.

    The weights of a next cell's positions stand for all its positions.
    """
    ranks, genes, weights = [], [], []
    for cell, weight in zip(target.next_cells, target.weights, strict=True):
        number = min(most, len(cell))
        chosen = rng.choice(len(cell), number, replace=False)
        ranks.append(chosen)
        genes.append(cell[chosen])
        weights.append(np.full(number, weight * len(cell) / max(number, 1)))
    return np.concatenate(ranks), np.concatenate(genes), np.concatenate(weights)
