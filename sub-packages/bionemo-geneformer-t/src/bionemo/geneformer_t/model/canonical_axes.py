"""CanonicalAxes: what of a current cell goes with what of its next cell, as far as it is linear.

Canonical correlation analysis (Hotelling 1936) finds directions of the current cell and of the next
cell that are correlated most. What stays while a cell goes on, such as a gene that decides its fate
long before it shows, has an axis of its own, however little it varies; in the hidden states of a
network, or in principal components, it is lost among what varies more.

Along an axis of correlation r, a current cell is at x and its next cell at y, both of variance 1.
As normal variables, y given x has mean r x and variance 1 - r^2. The log of how much more probable
a next cell is after one cell than after any is summed over the axes; it is the pointwise mutual
information.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from bionemo.geneformer_t.model.normalised_ranks import rank_table
from bionemo.geneformer_t.model.weight_checks import DamagedWeightsError
from bionemo.geneformer_t.ragged import Ragged


@dataclass(frozen=True, kw_only=True, eq=False)
class CanonicalAxes:
    """Maps of current and next cells to points whose nearness says whether one follows the other.

    The point of a current cell is where its next cell is expected. In these points the distance of
    a next cell from there is in standard deviations of next cells around it.
    """

    of_current: Float[ndarray, "token axis"]
    """From normalised ranks to points of current cells."""
    current_shift: Float[ndarray, " axis"]
    """What is taken off."""
    of_next: Float[ndarray, "token axis"]
    next_shift: Float[ndarray, " axis"]
    correlations: Float[ndarray, " axis"]
    """Of each axis, over pairs of training cells that had no part in it; above 0, below 1."""
    num_ranks: int
    """Ranks that count."""
    penalty: float
    """What was added to the variances, in variances of a gene."""

    def __len__(self) -> int:
        return len(self.correlations)

    def __str__(self) -> str:
        highest, lowest = self.correlations.max(), self.correlations.min()
        return f"{len(self)} canonical axes with correlations from {highest:.2f} to {lowest:.2f}"

    def check(self, vocab_size: int) -> None:
        """Refuse axes that cannot be those of a vocabulary.

        Raises:
            DamagedWeightsError: Names what has another shape or a value out of range.
        """
        number = len(self)
        shapes = {
            "of_current": (vocab_size, number),
            "of_next": (vocab_size, number),
            "current_shift": (number,),
            "next_shift": (number,),
        }
        wrong = [
            f"{name} is {' x '.join(map(str, getattr(self, name).shape))}, expected "
            f"{' x '.join(map(str, shape))}"
            for name, shape in shapes.items()
            if getattr(self, name).shape != shape
        ]
        if not ((self.correlations > 0) & (self.correlations < 1)).all():
            wrong.append("correlations are not all above 0 and below 1")
        if self.num_ranks < 1:
            wrong.append(f"num_ranks is {self.num_ranks}, expected 1 or more")
        if wrong:
            raise DamagedWeightsError(
                f"its canonical axes are not those of its vocabulary of {vocab_size:,} tokens: "
                f"{'; '.join(wrong)}. Copy the file again, or train again"
            )

    def expected(self, cells: Ragged) -> Float[ndarray, "cell axis"]:
        """Where the next cells of current cells are expected.

        Args:
            cells: Genes of each current cell in rank order.
        """
        return self._points(cells, self.of_current, self.current_shift)

    def observed(self, cells: Ragged) -> Float[ndarray, "cell axis"]:
        """Where cells are as next cells.

        Args:
            cells: Genes of each in rank order.
        """
        return self._points(cells, self.of_next, self.next_shift)

    def information(
        self,
        expected: Float[ndarray, "context axis"],
        observed: Float[ndarray, "candidate axis"],
    ) -> Float[ndarray, "context candidate"]:
        """Pointwise mutual information of each pair, in nats.

        With e and o in standard deviations, log N(o; e, 1) - log N(o; 0, 1 / (1 - r^2)) summed over
        the axes.

        Args:
            expected: Points of current cells.
            observed: Points of the candidates.
        """
        found: ndarray = expected @ observed.T
        found -= 0.5 * (expected**2).sum(axis=1)[:, None]
        found -= self.typical(observed)
        return found

    def typical(self, observed: Float[ndarray, "candidate axis"]) -> Float[ndarray, " candidate"]:
        """What `information` takes off for each candidate, whatever the current cell."""
        shared = self.correlations**2
        found: ndarray = 0.5 * (observed**2 @ shared + np.log1p(-shared).sum())
        return found

    def _points(
        self, cells: Ragged, weights: Float[ndarray, "token axis"], shift: Float[ndarray, " axis"]
    ) -> Float[ndarray, "cell axis"]:
        found: ndarray = rank_table(cells, self.num_ranks, len(weights)) @ weights - shift
        return found

    def to_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for checkpoints."""
        return {
            name: torch.from_numpy(value) if isinstance(value, ndarray) else value
            for name, value in ((one.name, getattr(self, one.name)) for one in fields(self))
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CanonicalAxes":
        """The inverse of `to_dict`."""
        plain: dict[str, Any] = {
            name: value.cpu().numpy() if isinstance(value, torch.Tensor) else value
            for name, value in values.items()
        }
        return cls(**plain)
