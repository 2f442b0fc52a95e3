"""The time gap as an input: a vector that is added to the queries of a next cell, to nothing else.

Contexts do not see it, so that one pass over a context serves any number of gaps. It starts at zero
and is zero where no gap is told: a model that was trained without gaps gives the same numbers, to
the bit, when it goes on with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from bionemo.geneformer_t.config import BioBertConfig

NUM_BUMPS = 8
"""Gaussian functions of the logarithm of a gap, spread evenly over those of training."""
NUM_FEATURES = NUM_BUMPS + 2
"""Beside the bumps, a constant and the logarithm itself, which goes on beyond the trained gaps."""
TIME_GAP = "time_gap."
"""Prefix of the names of its tensors in the network."""
_NUM_QUANTILES = 101
_GAIN = 10.0
"""What the weights are multiplied by: they start at zero, and a small network learns for a hundred
steps, in which AdamW moves a weight by little more than a hundred learning rates."""
_LEAST_RANGE = 1e-3
"""Of logarithms of gaps; where all gaps are one, nothing is divided by 0."""


class TimeGapEmbedding(nn.Module):
    """From the gap of each next cell to a vector of the hidden size; 0 where it is NaN."""

    log_range: Float[Tensor, " 2"]

    def __init__(self, config: BioBertConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(config.hidden_size, NUM_FEATURES))
        self.register_buffer("log_range", torch.tensor([0.0, 1.0]))

    def set_range(self, shortest: float, longest: float) -> None:
        """Take the gaps of training, before its first step."""
        low, high = np.log([shortest, longest])
        spare = max(_LEAST_RANGE - (high - low), 0.0) / 2
        self.log_range.copy_(torch.tensor([low - spare, high + spare]))

    def forward(self, gaps: Float[Tensor, " next_cell"]) -> Float[Tensor, "next_cell hidden"]:
        """The vector of each gap."""
        is_told = ~gaps.isnan()
        features = self.features(torch.where(is_told, gaps, torch.ones_like(gaps)))
        return (features * is_told[:, None]) @ (_GAIN * self.weight.T)

    def features(self, gaps: Float[Tensor, " next_cell"]) -> Float[Tensor, "next_cell feature"]:
        """A constant, the logarithm scaled to -1 and 1 at the ends of the range, and the bumps."""
        low, high = self.log_range
        scaled = 2 * (gaps.float().log() - low) / (high - low) - 1
        centers = torch.linspace(-1, 1, NUM_BUMPS, device=gaps.device)
        width = 2 / (NUM_BUMPS - 1)
        bumps = (-0.5 * ((scaled[:, None] - centers) / width) ** 2).exp()
        return torch.cat([torch.ones_like(scaled)[:, None], scaled[:, None], bumps], dim=1)


@dataclass(frozen=True, kw_only=True)
class TrainedGaps:
    """The gaps that a model was trained on, in its checkpoint."""

    key: str
    """Column of obs that gave the times, or `steps`."""
    unit: str
    """What they are counted in."""
    days: float | None
    """Length of the unit in days; None where it is none of time."""
    quantiles: Float[ndarray, " quantile"]
    """Of the gaps as they are drawn in training, from the shortest to the longest."""
    sharpness: float = 0.1
    """Factor of the log-likelihood of a later cell, where the gap to it is estimated."""
    is_fitted: bool = False
    """Whether that factor was fitted on validation pairs."""

    @classmethod
    def of(
        cls, gaps: Float[ndarray, " pair"], *, key: str, unit: str, days: float | None
    ) -> "TrainedGaps":
        """A record of some gaps.

        Args:
            gaps: Positive and finite, one for each pair that was drawn.
            key: Where they come from.
            unit: What they are counted in.
            days: Its length.
        """
        levels = np.linspace(0, 1, _NUM_QUANTILES)
        quantiles = np.quantile(gaps, levels, method="inverted_cdf")  # gaps that there are
        return cls(key=key, unit=unit, days=days, quantiles=quantiles)

    @property
    def shortest(self) -> float:
        """The shortest gap of training."""
        return float(self.quantiles[0])

    @property
    def longest(self) -> float:
        """The longest gap of training."""
        return float(self.quantiles[-1])

    def __str__(self) -> str:
        return (
            f"{self.shortest:g} to {self.longest:g} {self.unit} (median "
            f"{np.median(self.quantiles):g})"
        )

    def are_outside(self, gaps: Float[ndarray, " gap"]) -> ndarray:
        """Which gaps are shorter or longer than any of training."""
        return (gaps < self.shortest * (1 - 1e-6)) | (gaps > self.longest * (1 + 1e-6))

    def to_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for checkpoints."""
        return {
            "key": self.key,
            "unit": self.unit,
            "days": self.days,
            "quantiles": torch.from_numpy(self.quantiles),
            "sharpness": self.sharpness,
            "is_fitted": self.is_fitted,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainedGaps":
        """The inverse of `to_dict`."""
        return cls(**{**values, "quantiles": values["quantiles"].cpu().numpy()})
