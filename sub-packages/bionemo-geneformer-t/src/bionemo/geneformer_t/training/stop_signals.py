"""Signals that stop a run: after SIGTERM, SIGUSR1 or SIGINT (Ctrl-C), it saves and ends.

The handler only records the signal; the run checks for it between two optimizer steps, where its
state is complete. A second Ctrl-C ends the run at once. Before training begins there is nothing to
save, and the signals have their usual effect.
"""

import logging
import signal
import threading
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
STOPPED = 75
"""Exit code of a run that was stopped and can be resumed: EX_TEMPFAIL of sysexits.h."""


class RunStopped(SystemExit):
    """A run was stopped by a signal; its last checkpoint continues it.

    Ends the program, in the first process with exit code 75. The others end with 0, because a
    launcher would take one that fails for the cause, and kill the rest before they have ended.
    """

    def __init__(self, message: str, *, is_first_process: bool = True) -> None:
        super().__init__(STOPPED if is_first_process else 0)
        self.message = message

    def __str__(self) -> str:
        return self.message


class StopRequest:
    """Records the first stop signal between `listen` and `ignore`."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def listen(self) -> None:
        """Install the handlers, which is possible in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._note) for one in STOP_SIGNALS}

    def ignore(self) -> None:
        """Restore the previous handlers."""
        for one, handler in self._before.items():
            signal.signal(one, handler)
        self._before = {}

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal is None:
            self.signal = signal.Signals(number)
            logger.warning("%s: stopping after this optimizer step", self.signal.name)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
