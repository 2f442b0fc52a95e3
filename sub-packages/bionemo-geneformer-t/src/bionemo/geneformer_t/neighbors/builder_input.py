"""The input of every builder: the cells of a split, and settings.

Cells are points with columns of obs and matrices of obsp, without counts: coordinates and sparse
graphs stay small for a million cells, and come equally well from scanpy, from Dask or from
rapids-singlecell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.graph import NeighborGraph
from bionemo.geneformer_t.setting_values import Settings

TimeMethod: TypeAlias = Literal["auto", "ot", "mutual"]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of one split.

    Raises:
        ValueError: The parts do not describe the same cells, or a coordinate is not finite.
    """

    obs: pd.DataFrame
    """One row for each cell: time points, clusters, pseudotime."""
    points: Float[ndarray, "cell component"]
    """Coordinates of the cells, such as `obsm["X_pca"]`."""
    obsp: Mapping[str, Any] = field(default_factory=dict)
    """Cells x cells matrices, dense or sparse."""
    expression: Any = None
    """Cells x genes, log-normalised. Only CytoTRACE reads it."""
    root_point: Float[ndarray, " component"] | None = None
    """Coordinates of the root, for a split without it: the cell nearest to them is the root."""

    def __post_init__(self) -> None:
        num_cells = len(self.obs)
        if len(self.points) != num_cells:
            raise ValueError(
                f"points must have one row for each of the {num_cells} cells of obs; got "
                f"{self.points.shape}"
            )
        if not np.isfinite(self.points).all():
            bad = int((~np.isfinite(self.points).all(axis=1)).sum())
            raise ValueError(
                f"coordinates of the cells must be finite; {bad} of {num_cells} cells have others; "
                "leave these cells out, or compute the representation again"
            )

    @property
    def num_cells(self) -> int:
        """Rows of `obs`."""
        return len(self.obs)


@dataclass(frozen=True, kw_only=True)
class BuilderSettings(Settings):
    """How successors are found. Every builder reads the settings that concern it."""

    num_neighbors: int = 5
    """Largest number of successors of each cell."""
    time_key: str | None = None
    """For method time: column of obs with the time of each cell, such as D6, E7.75, 16 weeks, or a
    number."""
    time_order: tuple[str, ...] | None = None
    """For method time: the time labels from early to late. Needed if they are not numbers and the
    column is not an ordered categorical."""
    time_method: TimeMethod = "auto"
    """For method time: couple time points by optimal transport (`ot`, needs moscot), use mutual
    nearest neighbors (`mutual`), or use `ot` if moscot is installed and `mutual` otherwise
    (`auto`)."""
    pseudotime_key: str | None = None
    """For methods pseudotime and trajectory: column of obs with the pseudotime of each cell."""
    root: str | None = None
    """For methods pseudotime and trajectory: where diffusion pseudotime starts, a cell or a cluster
    of cluster_key."""
    cluster_key: str | None = None
    """For method trajectory, and for method pseudotime if root is a cluster: column of obs with the
    cluster of each cell."""
    step: float = 0.1
    """For methods pseudotime and trajectory: how far ahead in pseudotime successors are, as a
    fraction of the cells."""
    trajectory_method: Literal[
        "paga", "pseudotime_kernel", "cytotrace_kernel", "realtime_kernel"
    ] = "paga"
    """For method trajectory: steps along clusters that are connected in PAGA (`paga`), or one of
    CellRank's kernels."""
    min_connectivity: float = 0.05
    """For method trajectory: PAGA connectivity above which two clusters count as connected."""
    obsp_key: str | None = None
    """For method precomputed: name of the matrix in obsp, or of scVelo's velocity graph in uns."""
    transposed: bool = False
    """For method precomputed: the columns of the matrix are the current cells, not the rows."""


Built: TypeAlias = tuple[NeighborGraph, list[str]]
"""A graph, and sentences about what was chosen, counted or left out."""
