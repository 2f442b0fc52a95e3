"""Expected counts rounded to raw counts, where users ask for it, and what that changed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Real
from numpy import ndarray

from bionemo.geneformer_t.counts.checks import NotCountsError, check_range, what_fractions_are


@dataclass
class Rounding:
    """Rounds to the nearest whole number, halves to the even one, and counts what it does.

    A value below one half becomes 0: the gene then counts as not detected in that cell.
    """

    num_values: int = 0
    num_changed: int = 0
    num_lost: int = 0
    """Values above 0 that became 0."""
    total_before: float = 0.0
    total_after: float = 0.0

    def start(self) -> None:
        """Begin a pass over the matrix: what the last one counted is forgotten."""
        self.__init__()  # type: ignore[misc]

    def apply(self, values: Real[ndarray, " value"], where: str) -> Real[ndarray, " value"]:
        """The rounded values.

        Raises:
            NotCountsError: They do not look like expected counts.
        """
        check_range(values, where)
        if values.dtype.kind != "f":
            return values
        rounded = np.rint(values)
        changed = rounded != values
        if changed.any() and (looks := what_fractions_are(values)) is not None:
            raise NotCountsError(
                f"{where}: rounding is for expected counts, most of which are whole numbers; "
                f"{int(changed.sum()):,} of {len(values):,} values are not, for example "
                f"{values[changed][0]:g}. The values {looks}"
            )
        self.num_values += len(values)
        self.num_changed += int(changed.sum())
        self.num_lost += int(((rounded == 0) & (values > 0)).sum())
        self.total_before += float(values.sum(dtype=np.float64))
        self.total_after += float(rounded.sum(dtype=np.float64))
        return rounded

    def note(self, where: str) -> str:
        """What was rounded, in a sentence; empty where nothing was."""
        if not self.num_changed:
            return ""
        change = self.total_after / self.total_before - 1
        return (
            f"{where}: expected counts were rounded: {self.num_changed:,} of {self.num_values:,} "
            f"values had fractions, {self.num_lost:,} below one half became 0, and the total count "
            f"changed by {change:+.2%}"
        )
