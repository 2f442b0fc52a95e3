"""Progress of long work: a bar on a terminal or in a notebook, and elsewhere a line now and then.

Lines are logged. Commands show them on standard error, where a log file or a continuous integration
keeps them; programs that use this package decide by `logging` whether to show them.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)

LEAST_SECONDS = 60.0
"""Seconds between two lines, at least."""
LEAST_SHARE = 0.1
"""Share of the work between two lines, at least, where it is known how much there is."""
_MANY = 100_000
"""Items from which on a bar counts in thousands and millions."""


class Progress:
    """How much of some work is done; a context, in which `update` tells of more.

    Args:
        what: What is being done.
        total: How many items there are; None where that is not known (yet).
        unit: What one item is.
        is_shown: Whether to show anything, as one of several processes does.
        clock: Seconds.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        unit: str = "item",
        *,
        is_shown: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._unit, self._is_shown, self._clock = what, unit, is_shown, clock
        self._bar: Any = None
        self._step = ""
        if is_shown and can_draw_bars(sys.stderr):
            from tqdm import tqdm  # only where there is a bar, so that commands start at once

            self._bar = tqdm(
                desc=what, total=total, unit=f" {unit}s", leave=False,
                unit_scale=total is not None and total >= _MANY,
            )  # fmt: skip
        self._start(total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, number: int = 1) -> None:
        """Tell that so many more items are done."""
        self._done += number
        if self._bar is not None:
            self._bar.update(number)
        elif self._is_shown and self._is_due():
            self._log()

    def begin(self, step: str) -> None:
        """Name the step that begins; the one before it, if any, is done."""
        has_begun, self._step = bool(self._step), step
        if self._bar is not None:
            self._bar.set_postfix_str(step)
        if has_begun:
            self.update()

    def reset(self, total: int | None = None) -> None:
        """Begin anew with other work, of so many items."""
        if self._bar is not None:
            self._bar.reset(total)
        self._start(total)

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each of which is done when the next is asked for."""
        with self:
            for item in items:
                yield item
                self.update()

    def _start(self, total: int | None) -> None:
        self._total, self._done, self._since = total, 0, self._clock()
        self._shown_done, self._shown_at = 0, self._since

    def _is_due(self) -> bool:
        much = (self._done - self._shown_done) >= LEAST_SHARE * (self._total or 0)
        return much and self._clock() - self._shown_at >= LEAST_SECONDS

    def _log(self) -> None:
        now, total = self._clock(), self._total
        text = f"{self._done:,} {self._unit}s"
        if total:
            text = f"{self._done:,} of {total:,} {self._unit}s ({self._done / total:.0%})"
        text = f"{self._what}: {text} in {duration(now - self._since)}"
        if total and self._done < total:
            # of late, as the first may have been there from an interrupted run
            pace = (now - self._shown_at) / (self._done - self._shown_done)
            text += f", about {duration(pace * (total - self._done))} left"
        logger.info("%s", f"{text}; now {self._step}" if self._step else text)
        self._shown_done, self._shown_at = self._done, now


def progress_of_steps(what: str, first: str, total: int | None = None) -> Progress:
    """Progress of work in steps that differ, of which the first has begun; `begin` names others."""
    progress = Progress(what, total, "step")
    progress.begin(first)
    return progress


def can_draw_bars(stream: Any) -> bool:
    """Whether a line of a stream can be drawn anew: that of a terminal, or of a notebook."""
    if stream is None:
        return False
    return bool(stream.isatty()) or type(stream).__module__.startswith("ipykernel.")


def duration(seconds: float) -> str:
    """Such as `50 s`, `12 min` or `3 h 20 min`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def showing_progress() -> Iterator[None]:
    """Let lines of progress be written to standard error, for a command."""
    handler = logging.StreamHandler(sys.stderr)
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a command that shows all logs would show them twice
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
