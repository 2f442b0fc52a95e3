"""Sums of effects over cells, by target and group of cells, that no order of addition changes.

Effects are added as whole numbers of a small unit (fixed point). Sums of whole numbers are exact,
so that neither the order of cells nor the number of processes that share the work changes a bit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

STEPS = 2.0**40
"""Units in the largest possible effect of a readout: 8 million cells cannot overflow 64 bits."""


@dataclass(frozen=True, kw_only=True)
class EffectSums:
    """What has been added so far."""

    sums: Int[ndarray, "target group readout"]
    """In units of scale / STEPS."""
    counts: Int[ndarray, "target group"]
    """Cells that were added."""
    scale: Float[ndarray, " readout"]
    """Largest possible effect."""

    @classmethod
    def zeros(cls, targets: int, groups: int, scale: Float[ndarray, " readout"]) -> "EffectSums":
        """Nothing yet."""
        return cls(
            sums=np.zeros((targets, groups, len(scale)), dtype=np.int64),
            counts=np.zeros((targets, groups), dtype=np.int64),
            scale=np.where(scale > 0, scale, 1.0),
        )

    def add(
        self,
        targets: Int[ndarray, " context"],
        groups: Int[ndarray, " context"],
        effects: Float[ndarray, "context readout"],
    ) -> None:
        """Add the effects of some edited cells, in place."""
        units = np.rint(effects / self.scale * STEPS).astype(np.int64)
        np.add.at(self.sums, (targets, groups), units)
        np.add.at(self.counts, (targets, groups), 1)

    @property
    def totals(self) -> Float[ndarray, "target group readout"]:
        """Sums of effects, in the units of the readouts."""
        totals: Float[ndarray, "target group readout"] = self.sums / STEPS * self.scale
        return totals

    @property
    def cells(self) -> Int[ndarray, " target"]:
        """Cells that were edited, by target."""
        cells: Int[ndarray, " target"] = self.counts.sum(axis=1)
        return cells

    @property
    def means(self) -> Float[ndarray, "target readout"]:
        """Mean effect over all edited cells; NaN where there is none."""
        summed = self.sums.sum(axis=1) / STEPS * self.scale
        cells = self.cells[:, None]
        return np.divide(summed, cells, out=np.full(summed.shape, np.nan), where=cells > 0)

    def to_dict(self) -> dict[str, Any]:
        """Arrays, for a file."""
        return {"sums": self.sums, "counts": self.counts}

    def update(self, values: dict[str, Any]) -> None:
        """Go on from what `to_dict` gave, in place."""
        self.sums[:], self.counts[:] = values["sums"], values["counts"]
