"""Keep other libraries' advertisements out of the user's terminal; their warnings stay."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

CHATTER = (
    ".*LeafSpec",  # Lightning 2.6 on torch 2.13
    ".*does not have many workers",  # advice that does not hold for cached tokens
    "The number of training batches",  # short epochs are fine
    "Be aware that when using `ckpt_path`, callbacks",  # a resume names the settings it changes
    "Checkpoint directory .* exists and is not empty",  # so it should be when a run resumes
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence tips and hardware listings, and the warnings in `CHATTER`."""
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in CHATTER:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        log.setLevel(level)
