"""NeighborGraph: the possible successors of each cell, as sparse rows.

Row i lists the successors of cell i and their weights. Builders make it, files carry it, the
dataset draws from it.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int
from numpy import ndarray

_LARGEST_EXPONENT = 960
"""Of the largest weight of a row, as a power of two: sums of 2**63 weights stay finite, and one
that is 2**60 times smaller has all its digits."""
_ROUNDS = 1000
"""Attempts at repairing a shuffled graph; most need a few."""


@dataclass(frozen=True, kw_only=True)
class NeighborGraph:
    """A directed graph over the cells of one split, in CSR form.

    No self-loops, no duplicate edges, positive finite weights: `from_matrix` ensures it.
    """

    indptr: Int[ndarray, " cells_plus_1"]
    indices: Int[ndarray, " edges"]
    weights: Float[ndarray, " edges"]

    @property
    def num_cells(self) -> int:
        """Cells, with successors or without."""
        return len(self.indptr) - 1

    @property
    def num_edges(self) -> int:
        """Pairs of a cell and a successor."""
        return len(self.indices)

    @property
    def out_degree(self) -> Int[ndarray, " cells"]:
        """Successors of each cell."""
        return np.diff(self.indptr)

    @property
    def in_degree(self) -> Int[ndarray, " cells"]:
        """How many cells each cell is a successor of."""
        return np.bincount(self.indices, minlength=self.num_cells)

    @property
    def current(self) -> Int[ndarray, " edges"]:
        """The cell that each edge leaves."""
        return np.repeat(np.arange(self.num_cells), self.out_degree)

    @property
    def probabilities(self) -> Float[ndarray, " edges"]:
        """Weights, scaled to sum to 1 over the successors of each cell."""
        current = self.current
        total = np.bincount(current, self.weights, minlength=self.num_cells)
        return self.weights / total[current]

    def successors(self, cell: int) -> tuple[Int[ndarray, " degree"], Float[ndarray, " degree"]]:
        """The successors of one cell and their weights."""
        row = slice(self.indptr[cell], self.indptr[cell + 1])
        return self.indices[row], self.weights[row]

    def to_matrix(self) -> sp.csr_matrix:
        """Cells x cells, current cells in rows: what `adata.obsp` holds."""
        shape = (self.num_cells, self.num_cells)
        return sp.csr_matrix((self.weights, self.indices, self.indptr), shape=shape)

    @classmethod
    def empty(cls, num_cells: int) -> "NeighborGraph":
        """Cells without successors."""
        return cls(
            indptr=np.zeros(num_cells + 1, dtype=np.int64),
            indices=np.zeros(0, dtype=np.int64),
            weights=np.zeros(0),
        )

    @classmethod
    def from_matrix(
        cls, matrix: sp.spmatrix | sp.sparray
    ) -> tuple["NeighborGraph", dict[str, int]]:
        """Read a square matrix of weights; the diagonal and explicit zeros carry no successor.

        Weights count relative to the others of their row. A row whose weights are so large or so
        small that their sum would be infinite or imprecise is scaled by a power of two.

        Returns:
            The graph, and what was left out: `{"self-loop": 3, "zero weight": 0}`.

        Raises:
            ValueError: The matrix is not square, a weight is negative or not finite, or no number
                can hold the smallest of a row beside its largest.
        """
        edges = sp.coo_array(matrix)
        if edges.shape[0] != edges.shape[1]:
            raise ValueError(f"a neighbor graph must be cells x cells; got {edges.shape}")
        if not np.isfinite(edges.data).all() or (edges.data < 0).any():
            raise ValueError(
                "weights of a neighbor graph must be finite and not negative; got values from "
                f"{edges.data.min()} to {edges.data.max()}"
            )
        zero, loop = edges.data == 0, edges.row == edges.col
        keep = ~zero & ~loop
        rows, columns = edges.row[keep], edges.col[keep]
        weights = _summable(rows, edges.data[keep].astype(np.float64), edges.shape[0])
        csr = sp.csr_array((weights, (rows, columns)), shape=edges.shape)
        csr.sum_duplicates()
        graph = cls(
            indptr=csr.indptr.astype(np.int64),
            indices=csr.indices.astype(np.int64),
            weights=csr.data,
        )
        return graph, {"self-loop": int((loop & ~zero).sum()), "zero weight": int(zero.sum())}


def _summable(
    rows: Int[ndarray, " edge"], weights: Float[ndarray, " edge"], num_rows: int
) -> Float[ndarray, " edge"]:
    """The weights, with rows near an end of the floats scaled so that sums and ratios are right."""
    largest = np.zeros(num_rows)
    np.maximum.at(largest, rows, weights)
    exponents = np.frexp(largest)[1]
    is_extreme = np.abs(exponents) > _LARGEST_EXPONENT
    if not is_extreme.any():
        return weights
    scaled: Float[ndarray, " edge"] = np.ldexp(weights, np.where(is_extreme, -exponents, 0)[rows])
    lost = np.flatnonzero(scaled == 0)
    if len(lost):
        row = rows[lost[0]]
        of_row = weights[rows == row]
        raise ValueError(
            f"the weights of row {row} span from {of_row.min()} to {of_row.max()}, which is more "
            "than probabilities can; leave out the smallest, or rescale the weights"
        )
    return scaled


def shuffled_graph(graph: NeighborGraph, rng: np.random.Generator) -> NeighborGraph:
    """The same graph with its successors permuted among the current cells.

    Out-degrees with their weights and in-degrees stay; which cell follows which is random. Edges
    that would lead a cell to itself, or twice to the same cell, are exchanged with random others.

    Raises:
        ValueError: No such graph was found, as where every cell is followed by all others.
    """
    rows = graph.current
    indices = rng.permutation(graph.indices)
    for _ in range(_ROUNDS):
        wrong = np.flatnonzero(_is_no_edge(rows, indices, graph.num_cells))
        if not len(wrong):
            return replace(graph, indices=indices)
        for edge, other in zip(wrong, rng.integers(len(indices), size=len(wrong)), strict=True):
            indices[[edge, other]] = indices[[other, edge]]
    raise ValueError(
        f"successors of {graph.num_cells:,} cells with {graph.num_edges:,} edges cannot be "
        "shuffled: too few cells for so many edges; use fewer successors for each cell"
    )


def _is_no_edge(
    rows: Int[ndarray, " edge"], indices: Int[ndarray, " edge"], num_cells: int
) -> Bool[ndarray, " edge"]:
    """Which edges lead to the cell itself, or repeat another edge."""
    _, first = np.unique(rows * num_cells + indices, return_index=True)
    repeats = np.ones(len(rows), dtype=bool)
    repeats[first] = False
    return repeats | (rows == indices)
