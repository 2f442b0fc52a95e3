"""The check that a matrix holds raw counts; ranks of anything else mean something else."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped
from numpy import ndarray

from bionemo.geneformer_t.counts.data_frames import native

_LARGEST = {2: 1 << 11, 4: 1 << 24, 8: 1 << 24}
"""Bytes of a float -> the number up to which it holds every whole number; counts are kept in 32
bits."""
_WHOLE_SHARE = 0.05
"""Expected counts are whole for most genes, scaled or log-transformed ones for next to none."""
_TRANSFORMS: dict[str, Callable[[ndarray], ndarray]] = {
    "log2(1 + count)": lambda values: np.exp2(values) - 1,
    "log(1 + count)": np.expm1,
    "log10(1 + count)": lambda values: 10.0**values - 1,
    "the square root of the count": np.square,
}
"""Name -> its inverse; some of their values are whole by chance (log2(1 + 3) = 2)."""
_SMALL, _TOLERANCE = 1000, 1e-3


class NotCountsError(ValueError):
    """Values that cannot be raw counts."""


class ExpectedCountsError(NotCountsError):
    """Fractions that look like expected counts, which rounding makes raw counts of."""


def check_counts(values: Shaped[ndarray, "..."], where: str) -> None:
    """Refuse values that cannot be raw counts.

    Args:
        values: Some or all values of a count matrix.
        where: What to call them in the message, for example the file.

    Raises:
        ExpectedCountsError: Some values are no whole numbers, and most of the others are.
        NotCountsError: A value is negative, NaN, infinite, too large, or else no whole number.
    """
    check_range(values, where)
    if values.dtype.kind == "f" and values.size:
        _check_whole(values, where)


def check_range(values: Shaped[ndarray, "..."], where: str) -> None:
    """Refuse values that are negative, not finite, or larger than what is kept exactly.

    Raises:
        NotCountsError: Says which, and what they may be instead.
    """
    if values.dtype.kind == "b" or not values.size:
        return
    if values.dtype.kind not in "iuf":
        raise NotCountsError(f"{where}: counts must be numbers; got values of type {values.dtype}")
    low, high = values.min(), values.max()
    if not np.isfinite(low) or not np.isfinite(high):
        bad = values[~np.isfinite(values)]
        raise NotCountsError(
            f"{where}: counts must be finite; {len(bad):,} values are NaN or infinite. Remove or "
            "recompute those cells"
        )
    if low < 0:
        raise NotCountsError(
            f"{where}: counts must not be negative; the lowest is {low:g}. The values look scaled "
            "or corrected"
        )
    largest = _LARGEST.get(values.dtype.itemsize, 1 << 24) if values.dtype.kind == "f" else 1 << 24
    if high > largest:
        in_type = f" in values of type {values.dtype}" if values.dtype.itemsize == 2 else ""
        raise NotCountsError(
            f"{where}: a count of {high:g} is beyond {largest:,}, the largest that is kept "
            f"exactly{in_type}. Is it one cell's?"
        )


def native_counts(values: Shaped[ndarray, "..."], where: str) -> Shaped[ndarray, "..."]:
    """Counts in a type that SciPy can work with, none of them changed.

    Raises:
        NotCountsError: They come in 16-bit floats, and some are too large for these; or they are
            no numbers.
    """
    if values.dtype == object:
        try:
            return values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise NotCountsError(f"{where}: expected numbers; {error}") from error
    if values.dtype.kind == "f" and values.dtype.itemsize == 2:
        check_range(values, where)
    return native(values)


def what_fractions_are(values: Float[ndarray, " value"]) -> str | None:
    """What values with fractions among them look like; None where they look like expected counts.

    Expected counts are what estimation by expectation maximisation gives (RSEM, Salmon and alevin,
    kallisto, STARsolo): reads that fit several genes are divided between them. Most genes have no
    such reads, so that their values are whole.
    """
    values = values[values != 0].astype(np.float64)
    odd = values[values != np.rint(values)]
    if len(values) - len(odd) >= _WHOLE_SHARE * len(values):
        for name, inverse in _TRANSFORMS.items():
            counts = inverse(np.minimum(odd, 50))
            small = counts[counts < _SMALL]  # beyond, neighbours differ by less than they are kept
            if small.size and (np.abs(small - np.rint(small)) <= _TOLERANCE).all():
                return f"look log-normalised or transformed, as {name}"
        return None
    return "look log-normalised" if values.max() < 20 else "are not whole numbers"


def _check_whole(values: Float[ndarray, "..."], where: str) -> None:
    odd = values[values != np.rint(values)]
    if not odd.size:
        return
    found = (
        f"{where}: raw counts are whole numbers, and {odd.size:,} of {values.size:,} values are "
        f"not, for example {odd[0]:g}. The values"
    )
    looks = what_fractions_are(values.ravel())
    if looks is None:
        raise ExpectedCountsError(
            f"{found} look like expected counts, as estimation by EM gives them (RSEM, Salmon, "
            "alevin, kallisto, STARsolo): reads that fit several genes are divided between them"
        )
    raise NotCountsError(f"{found} {looks}")
