"""What a builder is given: the cells as points, their columns of obs, and graphs made before.

No counts: coordinates and sparse graphs stay small for a million cells, and come equally well from
scanpy, from Dask or from rapids-singlecell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray


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
