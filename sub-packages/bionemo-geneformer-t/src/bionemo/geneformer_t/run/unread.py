"""Commands end quietly where nobody reads what they print any more, as under `| head`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNREAD = 141
"""Exit status of a command cut short so; shells give it to a program that SIGPIPE ends."""


@contextmanager
def ending_unread() -> Iterator[None]:
    """End where what is printed has lost its reader; any other broken pipe is an error.

    Raises:
        SystemExit: With `UNREAD`, before all was printed.
    """
    try:
        yield
    except BrokenPipeError:
        if _can_print("\n"):  # nothing at all would not reach the pipe
            raise
        raise SystemExit(UNREAD) from None
    finally:
        _can_print("")


def _can_print(text: str) -> bool:
    """Whether this and what was printed before it can be written; if not, all goes nowhere."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return False
    return True
