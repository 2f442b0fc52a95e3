"""Transitions from scVelo's velocity graph, as scVelo computes them.

scVelo keeps the graph in `uns`, in two matrices of cosines between a cell's velocity and the way to
its neighbors: `velocity_graph` the positive ones, `velocity_graph_neg` the negative ones. Its
`transition_matrix` (Bergen et al., 2020, Nature Biotechnology) makes of them probabilities in
proportion to exp(10 * cosine). AnnData cuts `obsp` when cells are filtered, but not `uns`.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp

NEGATIVE = "_neg"
"""What the name of the negative part ends with."""
_GRAPH = "velocity_graph"
_SCALE = 10.0
_SURE = 98
"""Percentile of the cells' highest cosines beyond which a cell does not stay as it is."""


def velocity_graph_names(uns: Iterable[str]) -> list[str]:
    """Which entries of `uns` are velocity graphs, by their names."""
    names = set(uns)
    return sorted(
        name
        for name in names
        if name.endswith(_GRAPH) or (name.endswith("_graph") and name + NEGATIVE in names)
    )


def velocity_transitions(
    positive: Any, negative: Any, num_cells: int, name: str = _GRAPH
) -> sp.csr_array:
    """Transition probabilities of cells (rows), scVelo's defaults; the diagonal is to stay.

    Cells without any positive cosine have no next cell among their neighbors: their rows are empty,
    where scVelo lets them step against their velocity.

    Args:
        positive: Cells x cells, the positive cosines.
        negative: The negative ones; None where there are none.
        num_cells: Cells of the data.
        name: What the graph is called in `uns`.

    Raises:
        ValueError: A part is no matrix, or its cells are not those of the data.
    """
    graph = _part(positive, num_cells, name)
    highest = graph.max(axis=1).toarray().ravel()
    stay = np.clip(np.percentile(highest, _SURE) - highest, 0, 1)
    others = graph - sp.diags_array(graph.diagonal(), format="csr")
    scaled = sp.csr_array(others + sp.diags_array(stay, format="csr")) * _SCALE
    if negative is None:
        weights = scaled.expm1()
    else:
        weights = sp.coo_array(scaled + _part(negative, num_cells, name + NEGATIVE) * _SCALE)
        weights.data = np.exp(weights.data)
    rows = sp.csr_array(weights)
    totals = np.where(highest > 0, rows.sum(axis=1), np.inf)
    rows.data /= np.repeat(totals, np.diff(rows.indptr))
    rows.eliminate_zeros()
    return rows


def _part(matrix: Any, num_cells: int, name: str) -> sp.csr_array:
    shape = getattr(matrix, "shape", None)
    if shape != (num_cells, num_cells):
        what = "no matrix" if shape is None else " x ".join(map(str, shape))
        raise ValueError(
            f"uns[{name!r}] is {what}, and the data hold {num_cells} cells. Cells were filtered "
            "after the graph was computed, which does not reach uns: run scvelo.tl.velocity_graph "
            "again"
        )
    return sp.csr_array(matrix, dtype=np.float64)
