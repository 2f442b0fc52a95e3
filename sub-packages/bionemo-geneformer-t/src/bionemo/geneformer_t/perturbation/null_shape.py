"""How the effects of matched genes are distributed around their mean.

A normal distribution is wrong: effects of genes have heavy tails, and a kurtosis that is estimated
from all genes is that of the drivers. So the shape is learned from the body of the null, as an
empirical null (Efron, J. Am. Stat. Assoc. 99, 2004): the largest 5 % of its values are only counted
as large (censored), so that few drivers neither widen the null nor make its tails heavier.

Shapes are Student's t, whose tails fall as powers, and the exponential power distribution, whose
tails are Laplace's, normal, or between and beyond. Both have a scale. The p-value is the mean over
all of them, weighted by likelihood (with equal weights beforehand), so that few genes, which say
little of the shape, make larger p-values.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_BODY = 0.95
"""Fraction of the null whose values count by their size."""
_EDGES = np.concatenate([np.linspace(0, 6, 121), np.linspace(6, 12, 31)[1:]])
"""Bins of values without sign, in standard deviations; the last one has no end."""
_SCALES = np.exp(np.linspace(np.log(0.25), np.log(1.6), 40))
_DEGREES = np.concatenate([[1e3], 1 / np.linspace(0.025, 0.8, 32)])
"""Of freedom, of Student's distributions; evenly spaced in their reciprocal."""
_POWERS = np.linspace(0.4, 2, 33)
"""Of exponential power distributions: 1 is Laplace's, 2 the normal one."""
_ASKED = np.sinh(np.linspace(0, 10, 600))
"""Sizes, up to 11,000, for which p-values are computed; between them they are interpolated."""
_TINY = np.finfo(np.float64).tiny


def null_counts(values: Float[ndarray, "..."]) -> Float[ndarray, " bin"]:
    """How many values of a null there are in each bin of size, to be summed over parts.

    Args:
        values: Minus the mean of their null and divided by its standard deviation; NaN is left out.
    """
    size = np.abs(values[np.isfinite(values)])
    return np.histogram(size, np.append(_EDGES, np.inf))[0].astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class NullShape:
    """Weights of all shapes."""

    of_student: Float[ndarray, "degree scale"]
    of_power: Float[ndarray, "power scale"]

    @classmethod
    def fit(cls, counts: Float[ndarray, " bin"]) -> "NullShape":
        """Weigh all shapes by the likelihood of a null.

        Args:
            counts: Independent values in each bin, as `null_counts` makes them.
        """
        inside = np.cumsum(counts) <= _BODY * counts.sum()
        stop = int(max(inside[:-1].sum(), 1))
        binned = np.append(counts[:stop], counts[stop:].sum())
        logs = [
            np.log(_probabilities(beyond[..., : stop + 1])) @ binned for beyond in _beyond("edges")
        ]
        highest = max(log.max() for log in logs)
        weights = [np.exp(log - highest) / log.size for log in logs]
        whole = sum(float(weight.sum()) for weight in weights)
        of_student, of_power = (weight / whole for weight in weights)
        return cls(of_student=of_student, of_power=of_power)

    def p_values(self, z: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
        """Probabilities of values as large as these, of either sign; NaN stays NaN.

        Interpolated on a logarithmic scale, to a relative error of 1e-3 up to 5 standard
        deviations and of a few hundredths far out.
        """
        weights = (self.of_student, self.of_power)
        mixed = sum(
            np.tensordot(weight, beyond, axes=2)
            for weight, beyond in zip(weights, _beyond("asked"), strict=True)
        )
        logs = np.log(np.maximum(mixed, _TINY))
        found: ndarray = np.exp(np.interp(np.abs(z), _ASKED, logs))
        return np.minimum(found, 1)

    @property
    def heaviness(self) -> float:
        """Chance of a value beyond 4 standard deviations; of a normal distribution 6e-5."""
        return float(self.p_values(np.array([4.0]))[0])


@cache
def _beyond(
    which: Literal["edges", "asked"],
) -> tuple[Float[ndarray, "degree scale size"], Float[ndarray, "power scale size"]]:
    """Probability beyond these sizes, of either sign, under every shape."""
    from scipy.special import gammaincc
    from scipy.stats import t

    sizes = (_EDGES if which == "edges" else _ASKED) / _SCALES[:, None]
    student = 2 * t.sf(sizes, _DEGREES[:, None, None])
    # with the scale at which the power 2 is a standard normal distribution
    powers = _POWERS[:, None, None]
    return student, gammaincc(1 / powers, (sizes / np.sqrt(2)) ** powers)


def _probabilities(beyond: Float[ndarray, "... edge"]) -> Float[ndarray, "... bin"]:
    """Of the bins between edges and of what is beyond the last, never quite 0."""
    inside = -np.diff(beyond, axis=-1)
    both = np.concatenate([inside, beyond[..., -1:]], axis=-1)
    return np.maximum(both, _TINY)
