"""scVelo's velocity graphs in the `uns` of a file, offered as if they stood in `obsp`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import scipy.sparse as sp
from anndata.io import read_elem

from bionemo.geneformer_t.counts.velocity_transitions import (
    NEGATIVE,
    velocity_graph_names,
    velocity_transitions,
)


def velocity_matrices(store: Any, num_cells: int) -> dict[str, Callable[[], sp.csr_array]]:
    """Each velocity graph of a store's `uns` and what reads its transitions."""
    uns = store.get("uns", {})
    return {name: partial(_transitions, uns, name, num_cells) for name in velocity_graph_names(uns)}


def _transitions(uns: Any, name: str, num_cells: int) -> sp.csr_array:
    """Raises a ValueError where the graph is about other cells."""
    negative = read_elem(uns[name + NEGATIVE]) if name + NEGATIVE in uns else None
    return velocity_transitions(read_elem(uns[name]), negative, num_cells, name)
