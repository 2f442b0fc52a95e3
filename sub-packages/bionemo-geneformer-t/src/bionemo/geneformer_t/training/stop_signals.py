"""What a cluster's warning or Ctrl-C does: SIGTERM, SIGUSR1 or SIGINT ask a run to save and stop.

The handler only takes a note; training looks at it where the state is whole, between two optimizer
steps. A second Ctrl-C does not wait for that. Before training begins there is nothing to save, and
the signals keep their usual effect.
"""

import logging
import signal
import threading
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
STOPPED = 75
"""Exit code of a run that was asked to stop and can go on: EX_TEMPFAIL of sysexits.h."""


class RunStopped(SystemExit):
    """A run stopped because a signal asked it to; its last checkpoint continues it.

    Ends the program with the exit code 75, on the first process alone: a launcher takes any other
    process that fails for the reason, and kills the rest before they have ended.
    """

    def __init__(self, message: str, *, is_first_process: bool = True) -> None:
        super().__init__(STOPPED if is_first_process else 0)
        self.message = message

    def __str__(self) -> str:
        return self.message


class StopRequest:
    """Notes the first stop signal between `listen` and `ignore`."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def listen(self) -> None:
        """Take over the signals; only a program's main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._note) for one in STOP_SIGNALS}

    def ignore(self) -> None:
        """Give the signals back to whom they belonged."""
        for one, handler in self._before.items():
            signal.signal(one, handler)
        self._before = {}

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal is None:
            self.signal = signal.Signals(number)
            logger.warning("%s: stopping after this optimizer step", self.signal.name)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
