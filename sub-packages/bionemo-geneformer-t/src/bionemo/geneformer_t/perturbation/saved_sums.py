"""Sums of an unfinished run, in files beside its output, from which it goes on.

A run has several parts, such as the estimates by a model and by each control, and each part a file.
Finished parts stay until the output is written: a run that is interrupted late goes on late.
"""

import glob
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bionemo.geneformer_t.files import whole_file
from bionemo.geneformer_t.perturbation.effect_sums import EffectSums
from bionemo.geneformer_t.perturbation.processes import Processes

SAVED_EVERY = 60.0
"""Seconds between two savings."""


class SavedSums:
    """Sums of one part of a run.

    Args:
        path: The file.
        fingerprint: Of all that the sums depend on; sums of anything else are not used.
        clock: Seconds.
    """

    def __init__(
        self, path: Path, fingerprint: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self._fingerprint = fingerprint
        self._clock = clock
        self._last = clock()

    def resume(self, sums: EffectSums) -> int:
        """Fill sums with what was saved; the number of steps in them, 0 if there are none."""
        if not self.path.is_file():
            return 0
        with np.load(self.path, allow_pickle=False) as held:
            if str(held["fingerprint"]) != self._fingerprint:
                return 0
            values: dict[str, Any] = dict(held)
        sums.update(values)
        return int(values["done"])

    def save(self, sums: EffectSums, done: int) -> None:
        """Save, if the last time was long ago."""
        if self._clock() - self._last >= SAVED_EVERY:
            self.finish(sums, done)

    def finish(self, sums: EffectSums, done: int) -> None:
        """Save in any case."""
        with whole_file(self.path) as partial, partial.open("wb") as file:
            np.savez(file, fingerprint=self._fingerprint, done=done, **sums.to_dict())
        self._last = self._clock()


@dataclass(frozen=True, kw_only=True)
class SavedRun:
    """Where the parts of a run are kept; nowhere without a path."""

    path: Path | None
    """What the names of its files begin with."""
    processes: Processes

    def part(self, name: str, fingerprint: Callable[[], str]) -> SavedSums | None:
        """The sums of a part by this process; the fingerprint is computed where it is needed."""
        if self.path is None:
            return None
        own = f"{self.processes.rank}of{self.processes.number}"
        return SavedSums(self.path.with_name(f"{self.path.name}-{name}-{own}"), fingerprint())


def remove_saved(path: Path) -> None:
    """The output is written: remove the sums of all parts, by however many processes."""
    for part in path.parent.glob(f"{glob.escape(path.name)}-*"):
        part.unlink(missing_ok=True)
