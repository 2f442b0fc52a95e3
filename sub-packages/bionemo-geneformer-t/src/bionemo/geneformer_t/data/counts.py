"""The check that a matrix holds raw counts; ranks of anything else mean something else."""

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

_REMEDY = (
    "give the matrix of raw counts as X; if it is a layer, `geneformer-t prepare --layer NAME` "
    "takes it from there"
)


_LARGEST = 1 << 24  # whole numbers up to here are exact in 32-bit floats


class NotCountsError(ValueError):
    """Values that cannot be raw counts."""


def check_counts(values: Shaped[ndarray, "..."], where: str) -> None:
    """Refuse values that cannot be raw counts.

    Args:
        values: Some or all values of a count matrix.
        where: What to call them in the message, for example the file.

    Raises:
        NotCountsError: A value is negative, NaN, infinite or no whole number.
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
            f"or corrected: {_REMEDY}"
        )
    if high > _LARGEST:
        raise NotCountsError(
            f"{where}: a count of {high:g} is beyond {_LARGEST:,}, the largest that is kept "
            f"exactly. Is it one cell's? {_REMEDY}"
        )
    if values.dtype.kind == "f":
        _check_whole(values, where)


def _check_whole(values: Shaped[ndarray, "..."], where: str) -> None:
    odd = values[values != np.rint(values)]
    if odd.size:
        looks = "look log-normalised" if values.max() < 20 else "are not whole numbers"
        raise NotCountsError(
            f"{where}: raw counts are whole numbers, and {odd.size:,} of {values.size:,} values "
            f"are not, for example {odd[0]:g}. The values {looks}: {_REMEDY}"
        )
