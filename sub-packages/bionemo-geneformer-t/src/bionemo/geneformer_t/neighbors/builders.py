"""One table of all builders: from cells and settings to a graph and notes on it."""

from collections.abc import Callable
from dataclasses import dataclass

from bionemo.geneformer_t.neighbors.builder_input import BuilderSettings, Built, Cells
from bionemo.geneformer_t.neighbors.knn_neighbors import knn_neighbors
from bionemo.geneformer_t.neighbors.precomputed import precomputed_neighbors
from bionemo.geneformer_t.neighbors.pseudotime_neighbors import pseudotime_neighbors
from bionemo.geneformer_t.neighbors.time_neighbors import time_neighbors
from bionemo.geneformer_t.neighbors.trajectory_neighbors import trajectory_neighbors


@dataclass(frozen=True, kw_only=True)
class Builder:
    """A way to find successors."""

    build: Callable[[Cells, BuilderSettings], Built]
    key: str
    """Under which name its graph is stored unless another is given."""


BUILDERS: dict[str, Builder] = {
    "knn": Builder(build=knn_neighbors, key="knn_neighbors"),
    "time": Builder(build=time_neighbors, key="next_cell_ids"),
    "pseudotime": Builder(build=pseudotime_neighbors, key="pseudotime_neighbors"),
    "trajectory": Builder(build=trajectory_neighbors, key="trajectory_neighbors"),
    "precomputed": Builder(build=precomputed_neighbors, key="precomputed_neighbors"),
}
"""What `--method` and `gft.pp.next_cells(method=...)` name."""


def build(method: str, cells: Cells, settings: BuilderSettings) -> Built:
    """The graph of one method, and notes on what was chosen, counted or left out.

    Args:
        method: A key of `BUILDERS`.
        cells: The cells of one split.
        settings: What the builder is to do.

    Raises:
        ValueError: No such method, or a setting does not fit the cells.
        KeyError: A setting names a column, a cell or a matrix that is not there.
        ImportError: A package that the method needs is not installed.
    """
    check_method(method)
    return BUILDERS[method].build(cells, settings)


def check_method(method: str) -> None:
    """Refuse a method that is not in `BUILDERS`.

    Raises:
        ValueError: No such method.
    """
    if method not in BUILDERS:
        raise ValueError(f"method must be one of {', '.join(BUILDERS)}; got {method!r}")
