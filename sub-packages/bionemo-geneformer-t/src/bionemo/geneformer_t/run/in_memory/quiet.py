"""What a command prints goes to the log, as functions on AnnData objects print nothing."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

logger = logging.getLogger(__name__)


@contextmanager
def printing_to_log() -> Iterator[None]:
    """Log what is printed, at level INFO, when the context ends."""
    text = io.StringIO()
    try:
        with redirect_stdout(text):
            yield
    finally:
        if text.getvalue():
            logger.info("%s", text.getvalue().rstrip())
