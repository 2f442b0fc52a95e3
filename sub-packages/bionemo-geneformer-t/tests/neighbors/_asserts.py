"""What every builder's graph has to be."""

from collections.abc import Callable

import numpy as np

from bionemo.geneformer_t.graph import NeighborGraph


def assert_sound(graph: NeighborGraph, num_cells: int, num_neighbors: int | None = None) -> None:
    """Rows and columns are cells, none its own successor, none twice; weights are usable."""
    assert graph.num_cells == num_cells
    assert graph.num_edges > 0
    assert graph.indptr[0] == 0
    assert graph.indptr[-1] == len(graph.indices) == len(graph.weights)
    assert (graph.out_degree >= 0).all()
    assert ((graph.indices >= 0) & (graph.indices < num_cells)).all()
    rows = np.repeat(np.arange(num_cells), graph.out_degree)
    assert (rows != graph.indices).all()
    assert len(set(zip(rows.tolist(), graph.indices.tolist(), strict=True))) == len(rows)
    assert np.isfinite(graph.weights).all()
    assert (graph.weights > 0).all()
    if num_neighbors is not None:
        assert graph.out_degree.max() <= num_neighbors


def assert_same(first: NeighborGraph, second: NeighborGraph) -> None:
    """Bit for bit."""
    for name in ("indptr", "indices", "weights"):
        assert (getattr(first, name) == getattr(second, name)).all()


def assert_independent_of_row_order(
    build: Callable[[np.ndarray], NeighborGraph], num_cells: int, tolerance: float = 1e-9
) -> None:
    """`build(rows)` builds from the cells in that order: the edges move with their cells.

    The tolerance is on the weights: sums in another order are rounded otherwise.
    """
    order = np.random.default_rng(1).permutation(num_cells)
    straight = build(np.arange(num_cells)).to_matrix().toarray()
    shuffled = build(order).to_matrix().toarray()
    np.testing.assert_allclose(shuffled, straight[np.ix_(order, order)], atol=tolerance)


def assert_forward(graph: NeighborGraph, times: np.ndarray) -> None:
    """Every successor is later than its cell, on a scale where that can be said."""
    rows = np.repeat(np.arange(graph.num_cells), graph.out_degree)
    assert (times[graph.indices] > times[rows]).all()
