"""Do models that differ by their seed alone find the same: Kendall's tau between their effects."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

LEAST_TARGETS = 10
"""Targets that all models must have tested, at least, for an agreement."""


@dataclass(frozen=True, kw_only=True)
class SeedAgreement:
    """Rank agreement between the effects of several models, from -1 to 1; 0 is chance."""

    tau: Float[ndarray, "pair readout"]
    """Of every two models; NaN where too few targets were tested by all."""
    targets: Int[ndarray, " readout"]
    """Targets that all models have tested."""
    models: int

    def sentence(self, readouts: Sequence[str]) -> str:
        """What is printed, readout by readout."""
        parts = [self._of(number, readout) for number, readout in enumerate(readouts)]
        return (
            f"Agreement of {self.models} models (Kendall's tau between their effects; 1 is the "
            f"same order, 0 chance): {'; '.join(parts)}."
        )

    def _of(self, number: int, readout: str) -> str:
        tau, targets = self.tau[:, number], int(self.targets[number])
        if not np.isfinite(tau).all():
            return (
                f"{readout}: not known, as all models tested {targets} targets alike and "
                f"{LEAST_TARGETS} are needed"
                if targets < LEAST_TARGETS
                else f"{readout}: not known, as a model has the same effect for all targets"
            )
        spread = f", {tau.min():.2f} to {tau.max():.2f}" if len(tau) > 1 else ""
        return f"{readout}: {tau.mean():.2f}{spread} ({targets:,} targets)"


def seed_agreement(effects: Sequence[Float[ndarray, "target readout"]]) -> SeedAgreement:
    """Kendall's tau between the effects of every two models.

    Args:
        effects: Of each model, of the same targets and readouts; NaN where a target was not tested.

    Raises:
        ValueError: There are fewer than two models, or their arrays differ in shape.
    """
    shapes = {own.shape for own in effects}
    if len(effects) < 2 or len(shapes) > 1:
        raise ValueError(
            "agreement needs the effects of two models or more on the same targets and readouts; "
            f"got {len(effects)} of shapes {sorted(shapes)}"
        )
    known = np.isfinite(np.stack(effects)).all(axis=0)
    targets = known.sum(axis=0)
    tau = [
        [_tau(one[some, readout], other[some, readout]) for readout, some in enumerate(known.T)]
        for one, other in combinations(effects, 2)
    ]
    return SeedAgreement(tau=np.array(tau), targets=targets, models=len(effects))


def _tau(one: Float[ndarray, " target"], other: Float[ndarray, " target"]) -> float:
    from scipy.stats import kendalltau

    if len(one) < LEAST_TARGETS:
        return np.nan
    return float(kendalltau(one, other).statistic)
