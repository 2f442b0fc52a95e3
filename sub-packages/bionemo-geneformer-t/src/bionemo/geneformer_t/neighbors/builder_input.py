"""What a builder is given: the cells as points, their columns of obs, and graphs made before.

No counts: coordinates and sparse graphs stay small for a million cells, and come equally well from
scanpy, from Dask or from rapids-singlecell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
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
    """Where the root cell lies, for a split that does not hold it: the nearest cell is the root."""

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

    def column(self, setting: str, key: str | None) -> "pd.Series[Any]":
        """The column of obs that a setting names.

        Raises:
            ValueError: The setting is empty.
            KeyError: There is no such column.
        """
        held = ", ".join(map(str, self.obs.columns)) or "none"
        if key is None:
            raise ValueError(f"{setting} must name a column of obs; it has: {held}")
        if key not in self.obs:
            raise KeyError(f"{setting}: obs has no column {key!r}; it has: {held}")
        return self.obs[key]

    def labels(self, setting: str, key: str | None) -> Shaped[ndarray, " cell"]:
        """Such a column as text; every cell must have a label.

        Raises:
            ValueError: The setting is empty, or cells have no label.
            KeyError: There is no such column.
        """
        column = self.column(setting, key)
        missing = int(column.isna().sum())
        if missing:
            raise ValueError(
                f"{setting}: {missing} of {len(column)} cells have no label in obs[{key!r}]; "
                "label them or leave them out"
            )
        return column.astype(str).to_numpy(dtype=np.str_)
